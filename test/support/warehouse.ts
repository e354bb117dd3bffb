/** The operator of a warehouse at the interface that providers implement: what it holds, and faults in turn. */
import type { OutboundOrders } from '../../activities/deps';
import type { NewOutboundOrder } from '../../store/repositories/outbound-pushes';

/** `lost`: it is done and its answer does not arrive. `down`: nothing is done. A text: refused for good, in these words. */
export type WarehouseFault = 'lost' | 'down' | { readonly refused: string };

export interface FakeWarehouse extends OutboundOrders {
  /** By supply order. */
  readonly orders: Map<string, { order: NewOutboundOrder; cancelled: boolean }>;
  /** Each call, as it came. */
  readonly calls: string[];
  /** The next calls of this kind end so, one after the other. */
  readonly faults: Record<'create' | 'get' | 'cancel', WarehouseFault[]>;
  /** Everything is away. */
  isDown: boolean;
  /** Awaited in the middle of a creation, once it is there. */
  onCreated: (supplyOrder: string) => Promise<void>;
  reset(): void;
}

export function createFakeWarehouse(): FakeWarehouse {
  const away = () => Object.assign(new Error('the warehouse does not answer'), { name: 'TimeoutError' });
  const call = (kind: 'create' | 'get' | 'cancel', supplyOrder: string) => {
    fake.calls.push(`${kind} ${supplyOrder}`);
    const fault = fake.faults[kind].shift();
    if (fake.isDown || fault === 'down') throw away();
    return fault;
  };
  const fake: FakeWarehouse = {
    orders: new Map(),
    calls: [],
    faults: { create: [], get: [], cancel: [] },
    isDown: false,
    onCreated: async () => {},
    reset() {
      fake.calls.length = 0;
      fake.faults.create = [];
      fake.faults.get = [];
      fake.faults.cancel = [];
      fake.isDown = false;
      fake.onCreated = async () => {};
    },
    async create(order) {
      const fault = call('create', order.supplyOrder);
      if (typeof fault === 'object') return { created: false, detail: fault.refused };
      // Never a second one: a real operator would answer that the number exists.
      if (fake.orders.has(order.supplyOrder)) throw new Error(`${order.supplyOrder} was created twice`);
      fake.orders.set(order.supplyOrder, { order, cancelled: false });
      await fake.onCreated(order.supplyOrder);
      if (fault === 'lost') throw away();
      return { created: true, reference: `OUT-${order.supplyOrder}` };
    },
    async get({ supplyOrder }) {
      call('get', supplyOrder);
      const there = fake.orders.get(supplyOrder);
      return there ? { reference: `OUT-${supplyOrder}`, cancelled: there.cancelled } : null;
    },
    async cancel({ supplyOrder }) {
      const fault = call('cancel', supplyOrder);
      if (typeof fault === 'object') return { cancelled: false, detail: fault.refused };
      const there = fake.orders.get(supplyOrder);
      if (there) there.cancelled = true;
      if (fault === 'lost') throw away();
      return { cancelled: true };
    },
  };
  return fake;
}
