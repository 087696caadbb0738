import { floatTensor, type Session } from '../runtime/session.ts';
import type { LocalModel } from './localModel.ts';
import { PrivateCopies } from './sharedMemory.ts';

/**
 * How the special tokens at the start reach the rest of the prompt. Their positions carry no features and no errors, so
 * a gradient need not be swept over them: their embeddings are carried up instead, once per prompt, and a target's
 * effect is read off where attention looks back at them.
 */
export type SpecialTokens = {
  readonly count: number;
  /** By layer: [kvHead · position · dHead, token] what each token's embedding has become in the values there. */
  readonly values: readonly Float32Array[];
};

/**
 * Carries the embeddings of the first `count` tokens up through frozen attention (and skip matrices), each on its own.
 * @param product session of y = x · wᵀ with inputs x [row, in], w [out, in]
 */
export async function carrySpecialTokens(local: LocalModel, count: number, product: Session): Promise<SpecialTokens> {
  const { nLayers, dModel, nHeads, nKeyValueHeads, dHead } = local.model.dimensions;
  const copies = new PrivateCopies();
  const apply = async (x: Float32Array, w: Float32Array, nOut: number): Promise<Float32Array> => {
    const nRows = count * count;
    const y = new Float32Array(nRows * nOut);
    const nIn = x.length / nRows;
    await product.run(
      { x: floatTensor(x, [nRows, nIn]), w: floatTensor(copies.of('w', w), [nOut, nIn]) },
      { y: floatTensor(y, [nRows, nOut]) },
    );
    return y;
  };
  // [token, pos, dModel]: what of each token is at each of their positions.
  const stream = new Float32Array(count * count * dModel);
  for (let token = 0; token < count; token++) {
    const vector = local.run.tokenVectors.subarray(token * dModel, (token + 1) * dModel);
    stream.set(vector, (token * count + token) * dModel);
  }
  const own = { from: 0, to: count };
  const values: Float32Array[] = [];
  for (let layer = 0; layer < nLayers; layer++) {
    const weights = local.carryWeights(layer);
    const value = await apply(stream, weights.value, nKeyValueHeads * dHead);
    values.push(byHead(value, count, nKeyValueHeads, dHead));
    const pattern = local.carryPattern(layer, own, own);
    // [head, token, pos, dHead]
    const mixed = new Float32Array(nHeads * count * count * dHead);
    eachMix(count, nHeads, nKeyValueHeads, dHead, (token, query, key, head, from) => {
      const group = head % (nHeads / nKeyValueHeads);
      const row = Math.floor(head / (nHeads / nKeyValueHeads)) * count + key;
      const share = pattern[row * (nHeads / nKeyValueHeads) * count + group * count + query];
      const [source, target] = [
        (token * count + key) * nKeyValueHeads * dHead + from,
        ((head * count + token) * count + query) * dHead,
      ];
      for (let i = 0; i < dHead; i++) mixed[target + i] += share * value[source + i];
    });
    for (let head = 0; head < nHeads; head++) {
      const ofHead = (values: Float32Array, size: number) => values.subarray(head * size, (head + 1) * size);
      const change = await apply(ofHead(mixed, count * count * dHead), ofHead(weights.output, dModel * dHead), dModel);
      for (let place = 0; place < stream.length; place++) stream[place] += change[place];
    }
    const skip = local.skipWeights(layer);
    if (!skip) continue;
    const skipped = await apply(stream, skip.matrix, dModel);
    for (let place = 0; place < stream.length; place++) {
      stream[place] += skipped[place] * skip.scale[Math.floor(place / dModel) % count];
    }
  }
  return { count, values };
}

/** [token, pos, kvHead · dHead] → [kvHead · pos · dHead, token] */
function byHead(value: Float32Array, count: number, nKeyValueHeads: number, dHead: number): Float32Array {
  const result = new Float32Array(value.length);
  for (let token = 0; token < count; token++) {
    for (let pos = 0; pos < count; pos++) {
      for (let i = 0; i < nKeyValueHeads * dHead; i++) {
        const row = (Math.floor(i / dHead) * count + pos) * dHead + (i % dHead);
        result[row * count + token] = value[(token * count + pos) * nKeyValueHeads * dHead + i];
      }
    }
  }
  return result;
}

function eachMix(
  count: number,
  nHeads: number,
  nKeyValueHeads: number,
  dHead: number,
  each: (token: number, query: number, key: number, head: number, from: number) => void,
): void {
  for (let token = 0; token < count; token++) {
    for (let query = token; query < count; query++) {
      for (let key = token; key <= query; key++) {
        for (let head = 0; head < nHeads; head++) {
          each(token, query, key, head, Math.floor((head * nKeyValueHeads) / nHeads) * dHead);
        }
      }
    }
  }
}
