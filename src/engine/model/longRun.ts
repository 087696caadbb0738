import type { ForwardResult, LayerCapture } from './languageModel.ts';

type LayerArrays = {
  -readonly [Key in Exclude<keyof LayerCapture, 'attnPattern' | 'attnFactors'>]: LayerCapture[Key];
};

/** What a prompt leaves that runs some positions at a time: each part is copied to its place in the whole, once. */
export class LongRun {
  readonly #nPos: number;
  #tokenVectors = new Float32Array(0);
  #residFinal = new Float32Array(0);
  #finalNormScale = new Float32Array(0);
  readonly #layers: LayerArrays[] = [];

  constructor(nPos: number) {
    this.#nPos = nPos;
  }

  /** @param from the part's first position */
  add(part: ForwardResult, from: number): void {
    const place = (whole: Float32Array | undefined, rows: Float32Array): Float32Array<ArrayBuffer> => {
      const width = rows.length / part.nPos;
      const target = whole?.length ? whole : new Float32Array(this.#nPos * width);
      target.set(rows, from * width);
      return target as Float32Array<ArrayBuffer>;
    };
    const optional = (whole: Float32Array | null | undefined, rows: Float32Array | null): Float32Array | null =>
      rows === null ? null : place(whole ?? undefined, rows);
    this.#tokenVectors = place(this.#tokenVectors, part.tokenVectors);
    this.#residFinal = place(this.#residFinal, part.residFinal);
    this.#finalNormScale = place(this.#finalNormScale, part.finalNormScale);
    part.layers.forEach((own, layer) => {
      const before: LayerArrays | undefined = this.#layers[layer];
      const mlpOut = place(before?.mlpOut, own.mlpOut);
      this.#layers[layer] = {
        attnNormScale: place(before?.attnNormScale, own.attnNormScale),
        postAttnNormScale: optional(before?.postAttnNormScale, own.postAttnNormScale),
        mlpNormScale: place(before?.mlpNormScale, own.mlpNormScale),
        postMlpNormScale: optional(before?.postMlpNormScale, own.postMlpNormScale),
        residMid: place(before?.residMid, own.residMid),
        mlpOut,
        mlpAdded: own.mlpAdded === own.mlpOut ? mlpOut : place(before?.mlpAdded, own.mlpAdded),
      };
    });
  }

  /** @param factorsOf what the layers' attention patterns can be made from again */
  finish(logits: Float32Array, factorsOf: (layer: number) => LayerCapture['attnFactors']): ForwardResult {
    return {
      nPos: this.#nPos,
      tokenVectors: this.#tokenVectors,
      layers: this.#layers.map((arrays, layer) => ({
        ...arrays,
        attnPattern: new Float32Array(0),
        attnFactors: factorsOf(layer),
      })),
      residFinal: this.#residFinal,
      finalNormScale: this.#finalNormScale,
      logits,
    };
  }
}
