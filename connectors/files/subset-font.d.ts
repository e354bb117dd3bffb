declare module 'subset-font' {
  /** The font with just these letters, and what of its layout rules concerns them. */
  export default function subsetFont(
    font: Buffer,
    text: string,
    options: { targetFormat: 'truetype'; variationAxes?: Readonly<Record<string, number>> },
  ): Promise<Buffer>;
}
