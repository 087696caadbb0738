import { GraphBuilder } from '../engine/runtime/onnxModel.ts';
import { createSession, floatTensor } from '../engine/runtime/session.ts';

/** Rows of the tried products; the best of them all is the machine's rate. */
const rowCounts = [256, 512, 1024, 2048];
const repeats = 12;

/**
 * The best rate of plain float32 products of [rows, width] · [width, width] that this machine reaches now, in
 * multiplications per second: the limit that the sweep is held against.
 */
export async function bestMatrixRate(width: number): Promise<number> {
  const graph = new GraphBuilder();
  graph.node('MatMul', [graph.input('a', 'float32', ['m', 'k']), graph.input('b', 'float32', ['k', 'n'])], {}, 'c');
  graph.output('c', 'float32', ['m', 'n']);
  using session = await createSession(graph.encode());
  const weights = floatTensor(
    Float32Array.from({ length: width * width }, (_, i) => Math.sin(i)),
    [width, width],
  );
  let best = 0;
  for (const rows of rowCounts) {
    const a = floatTensor(
      Float32Array.from({ length: rows * width }, (_, i) => Math.cos(i)),
      [rows, width],
    );
    const c = floatTensor(new Float32Array(rows * width), [rows, width]);
    for (let repeat = 0; repeat < repeats; repeat++) {
      const begun = performance.now();
      await session.run({ a, b: weights }, { c });
      best = Math.max(best, (rows * width * width) / ((performance.now() - begun) / 1000));
    }
  }
  return best;
}
