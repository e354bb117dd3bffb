/** What the demo's supplier sells, and which of it each shop offers. */
import type { ShopInput } from './marketplaces/control-schemas';
import type { SandboxPlatform } from './marketplaces/state';

export interface Good {
  readonly sku: string;
  readonly family: string;
  /** Empty where the family has no variants. */
  readonly option: string;
  /** The supplier's base price and what shops ask; MYR. */
  readonly basePrice: string;
  readonly shopPrice: string;
  /** Units in the two warehouses at the beginning. */
  readonly central: number;
  readonly north: number;
}

export const WAREHOUSES = ['Central warehouse', 'North warehouse'] as const;

/** The one that the story is told about. */
export const STORY_SKU = 'MUG-350-IVORY';

const good = (
  sku: string,
  family: string,
  option: string,
  basePrice: string,
  shopPrice: string,
  central: number,
  north: number,
): Good => ({ sku, family, option, basePrice, shopPrice, central, north });

export const GOODS: readonly Good[] = [
  good(STORY_SKU, 'Stoneware mug 350 ml', 'Ivory', '12.50', '19.90', 80, 40),
  good('MUG-350-NAVY', 'Stoneware mug 350 ml', 'Navy', '12.50', '19.90', 64, 24),
  good('MUG-350-SAGE', 'Stoneware mug 350 ml', 'Sage', '12.50', '19.90', 48, 36),
  good('BTL-750-BLACK', 'Insulated bottle 750 ml', 'Black', '32.00', '49.90', 55, 20),
  good('BTL-750-STEEL', 'Insulated bottle 750 ml', 'Steel', '32.00', '49.90', 40, 15),
  good('TEE-BAM-S', 'Bamboo T-shirt', 'S', '18.90', '29.90', 70, 30),
  good('TEE-BAM-M', 'Bamboo T-shirt', 'M', '18.90', '29.90', 90, 45),
  good('TEE-BAM-L', 'Bamboo T-shirt', 'L', '18.90', '29.90', 60, 25),
  good('TWL-BATH-WHITE', 'Cotton bath towel 70 x 140 cm', 'White', '22.00', '36.90', 35, 18),
  good('TWL-BATH-GREY', 'Cotton bath towel 70 x 140 cm', 'Grey', '22.00', '36.90', 32, 16),
  good('LMP-DESK-USB', 'LED desk lamp, USB-C', '', '45.00', '79.00', 28, 12),
  good('CBL-USBC-1M', 'Braided USB-C cable', '1 m', '8.90', '15.90', 200, 120),
  good('CBL-USBC-2M', 'Braided USB-C cable', '2 m', '11.90', '19.90', 160, 90),
  good('NTB-A5-DOT', 'Dotted notebook A5, 160 pages', '', '7.50', '13.90', 240, 110),
  good('UMB-FOLD-BLACK', 'Folding umbrella, black', '', '19.90', '32.90', 50, 22),
  good('BOX-LUNCH-3', 'Lunch box with 3 compartments', '', '16.80', '27.90', 66, 34),
  good('MAT-YOGA-6MM', 'Yoga mat 6 mm', '', '38.00', '62.00', 30, 14),
  good('POT-TERRA-12', 'Terracotta plant pot', '12 cm', '9.90', '16.90', 75, 40),
  good('POT-TERRA-18', 'Terracotta plant pot', '18 cm', '14.90', '24.90', 52, 28),
  good('CND-SOY-200', 'Soy candle 200 g', '', '15.00', '25.90', 44, 21),
];

export interface DemoShop {
  readonly platform: SandboxPlatform;
  readonly name: string;
  readonly families: readonly string[];
  /** Where the shop has a code of its own: these listings are connected by hand. */
  readonly ownCodes: Readonly<Record<string, string>>;
}

export const DISTRIBUTORS: readonly { readonly name: string; readonly shops: readonly DemoShop[] }[] = [
  {
    name: 'Distributor One',
    shops: [
      {
        platform: 'shopee',
        name: 'One on Shopee',
        families: [
          ...['Stoneware mug 350 ml', 'Insulated bottle 750 ml', 'Bamboo T-shirt', 'Cotton bath towel 70 x 140 cm'],
          ...[
            'LED desk lamp, USB-C',
            'Braided USB-C cable',
            'Dotted notebook A5, 160 pages',
            'Folding umbrella, black',
          ],
        ],
        ownCodes: {},
      },
      {
        platform: 'lazada',
        name: 'One on Lazada',
        families: [
          ...['Stoneware mug 350 ml', 'Insulated bottle 750 ml', 'Lunch box with 3 compartments', 'Yoga mat 6 mm'],
          ...['Terracotta plant pot', 'Soy candle 200 g'],
        ],
        ownCodes: { 'CND-SOY-200': 'LZ-CANDLE-01' },
      },
    ],
  },
  {
    name: 'Distributor Two',
    shops: [
      {
        platform: 'shopee',
        name: 'Two on Shopee',
        families: [
          ...['Stoneware mug 350 ml', 'Bamboo T-shirt', 'Braided USB-C cable', 'Dotted notebook A5, 160 pages'],
          'Terracotta plant pot',
        ],
        ownCodes: {},
      },
    ],
  },
];

/** The goods a shop offers. */
export const goodsOf = (shop: DemoShop): Good[] => GOODS.filter(({ family }) => shop.families.includes(family));

/** The shop's items as the sandbox takes them; what the shop shows before the hub writes is 1. */
export function itemsOf(shop: DemoShop): NonNullable<ShopInput['items']> {
  return shop.families.map((family) => ({
    title: family,
    models: GOODS.filter((one) => one.family === family).map((one) => ({
      sku: shop.ownCodes[one.sku] ?? one.sku,
      price: one.shopPrice,
      stock: 1,
      ...(one.option === '' ? {} : { variation: [one.option] }),
    })),
  }));
}
