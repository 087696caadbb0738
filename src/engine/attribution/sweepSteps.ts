import type { ModelDimensions } from '../model/languageModel.ts';
import { GraphBuilder } from '../runtime/onnxModel.ts';
import { createSession, type Session, type SessionOptions } from '../runtime/session.ts';

/** The compiled steps of the sweep; the same for every layer and prompt of a model. */
export type SweepSteps = {
  /** Without, and with, special tokens at the start. */
  readonly carry: Session;
  readonly carrySpecial: Session;
  /** The first carry of rows that begin at the layer; without, and with, special tokens. */
  readonly enter: Session;
  readonly enterSpecial: Session;
  readonly dots: Session;
  readonly skip: Session;
  readonly product: Session;
};

export async function createSteps(dimensions: ModelDimensions, options: SessionOptions): Promise<SweepSteps> {
  return {
    carry: await createSession(carryGraph(dimensions, false), options),
    carrySpecial: await createSession(carryGraph(dimensions, true), options),
    enter: await createSession(enterGraph(dimensions, false), options),
    enterSpecial: await createSession(enterGraph(dimensions, true), options),
    dots: await createSession(dotsGraph(dimensions), options),
    skip: await createSession(skipGraph(dimensions), options),
    product: await createSession(productGraph(), options),
  };
}

/**
 * Back through one layer's attention, positions first so that "positions up to p" is a prefix:
 *   carried[k, row] = gradient[k, row] + Σ_head Σ_q pattern[head, q, k] · (gradient[q, row] · output_head) · value_head
 * Queries that share keys and values are summed in the inner dimension of the middle product. With special tokens, a
 * second result gives their effects through this layer: special[row, token]. The dots are taken after the carry.
 */
function carryGraph({ dModel, nHeads, nKeyValueHeads, dHead }: ModelDimensions, hasSpecial: boolean): Uint8Array {
  const graph = new GraphBuilder();
  const groups = nHeads / nKeyValueHeads;
  const gradient = graph.input('gradient', 'float32', ['pos', 'row', dModel]);
  const pattern = graph.input('pattern', 'float32', [nKeyValueHeads, 'pos', 'query']);
  const output = graph.input('output', 'float32', [nHeads, dModel, dHead]);
  const value = graph.input('value', 'float32', [nKeyValueHeads * dHead, dModel]);
  const shape = graph.node('Shape', [gradient]);
  const [nPos, nRows] = [0, 1].map((axis) =>
    graph.node('Slice', [shape, graph.integers([axis]), graph.integers([axis + 1])]),
  );
  const reshape = (x: string, dims: readonly string[]) =>
    graph.node('Reshape', [x, graph.node('Concat', dims, { axis: 0 })]);
  const flat = graph.node('Reshape', [gradient, graph.integers([-1, dModel])]);
  // Head by head, the product comes out as the middle one wants it: no transposition of the largest array.
  const byQuery = reshape(graph.node('MatMul', [flat, output]), [
    graph.integers([nKeyValueHeads]),
    graph.node('Mul', [nPos, graph.integers([groups])]),
    graph.integers([-1]),
  ]);
  const byKey = reshape(graph.node('MatMul', [pattern, byQuery]), [
    graph.integers([nKeyValueHeads]),
    nPos,
    nRows,
    graph.integers([dHead]),
  ]);
  const atValues = graph.node('Reshape', [
    graph.node('Transpose', [byKey], { perm: [1, 2, 0, 3] }),
    graph.integers([-1, nKeyValueHeads * dHead]),
  ]);
  if (hasSpecial) {
    const specialPattern = graph.input('specialPattern', 'float32', [nKeyValueHeads, 'token', 'query']);
    const specialValues = graph.input('specialValues', 'float32', ['read', 'token']);
    const looked = reshape(graph.node('MatMul', [specialPattern, byQuery]), [
      graph.integers([nKeyValueHeads]),
      graph.integers([-1]),
      nRows,
      graph.integers([dHead]),
    ]);
    const byRow = reshape(graph.node('Transpose', [looked], { perm: [2, 0, 1, 3] }), [nRows, graph.integers([-1])]);
    graph.node('MatMul', [byRow, specialValues], {}, 'special');
    graph.output('special', 'float32', ['row', 'token']);
  }
  const back = reshape(graph.node('MatMul', [atValues, value]), [nPos, nRows, graph.integers([dModel])]);
  graph.node('Add', [gradient, back], {}, 'carried');
  graph.output('carried', 'float32', ['pos', 'row', dModel]);
  addDots(graph, 'carried', dModel);
  return graph.encode();
}

/**
 * The same for rows that begin at this layer, whose gradient is at one position yet, p(row): one product for all positions,
 *   carried[k, row] = Σ_head pattern[p(row), k, head] · (direction[row] · output_head) · value_head
 * with the direction itself as one way more, which leads from p(row) to p(row) only.
 */
function enterGraph({ dModel, nHeads, nKeyValueHeads, dHead }: ModelDimensions, hasSpecial: boolean): Uint8Array {
  const graph = new GraphBuilder();
  const direction = graph.input('direction', 'float32', ['row', dModel]);
  const pattern = graph.input('pattern', 'float32', ['row', 'pos', nHeads + 1]);
  const output = graph.input('output', 'float32', [nHeads, dModel, dHead]);
  const value = graph.input('value', 'float32', [nKeyValueHeads * dHead, dModel]);
  const reshape = (x: string, dims: readonly number[]) => graph.node('Reshape', [x, graph.integers(dims)]);
  const atHeads = graph.node('MatMul', [direction, output]);
  const back = graph.node('MatMul', [
    reshape(atHeads, [nKeyValueHeads, -1, dHead]),
    reshape(value, [nKeyValueHeads, dHead, dModel]),
  ]);
  const ways = graph.node('Concat', [reshape(back, [nHeads, -1, dModel]), reshape(direction, [1, -1, dModel])], {
    axis: 0,
  });
  const byRow = graph.node('MatMul', [pattern, graph.node('Transpose', [ways], { perm: [1, 0, 2] })]);
  graph.node('Transpose', [byRow], { perm: [1, 0, 2] }, 'carried');
  graph.output('carried', 'float32', ['pos', 'row', dModel]);
  addDots(graph, 'carried', dModel);
  if (hasSpecial) {
    const groups = nHeads / nKeyValueHeads;
    const specialPattern = graph.input('specialPattern', 'float32', ['row', nKeyValueHeads, 'token', groups]);
    const specialValues = graph.input('specialValues', 'float32', ['read', 'token']);
    const size = graph.node('Slice', [graph.node('Shape', [direction]), graph.integers([0]), graph.integers([1])]);
    const dims = [graph.integers([nKeyValueHeads, groups]), size, graph.integers([dHead])];
    const grouped = graph.node('Reshape', [atHeads, graph.node('Concat', dims, { axis: 0 })]);
    const looked = graph.node('MatMul', [specialPattern, graph.node('Transpose', [grouped], { perm: [2, 0, 1, 3] })]);
    const flat = graph.node('Reshape', [looked, graph.node('Concat', [size, graph.integers([-1])], { axis: 0 })]);
    graph.node('MatMul', [flat, specialValues], {}, 'special');
    graph.output('special', 'float32', ['row', 'token']);
  }
  return graph.encode();
}

/** dots[pos, row, source] = gradient[pos, row] · vectors[pos, source] */
function addDots(graph: GraphBuilder, gradient: string, dModel: number): void {
  const vectors = graph.input('vectors', 'float32', ['pos', 'source', dModel]);
  graph.node('FusedMatMul', [gradient, vectors], { transB: 1 }, 'dots', 'com.microsoft');
  graph.output('dots', 'float32', ['pos', 'row', 'source']);
}

function dotsGraph({ dModel }: ModelDimensions): Uint8Array {
  const graph = new GraphBuilder();
  addDots(graph, graph.input('gradient', 'float32', ['pos', 'row', dModel]), dModel);
  return graph.encode();
}

function skipGraph({ dModel }: ModelDimensions): Uint8Array {
  const graph = new GraphBuilder();
  const gradient = graph.input('gradient', 'float32', ['pos', 'row', dModel]);
  const matrix = graph.input('matrix', 'float32', [dModel, dModel]);
  const scale = graph.input('scale', 'float32', ['pos', 1, 1]);
  const through = graph.node('Mul', [graph.node('MatMul', [gradient, matrix]), scale]);
  graph.node('Add', [gradient, through], {}, 'carried');
  graph.output('carried', 'float32', ['pos', 'row', dModel]);
  return graph.encode();
}

function productGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['row', 'in']);
  const w = graph.input('w', 'float32', ['out', 'in']);
  graph.node('Gemm', [x, w], { transB: 1 }, 'y');
  graph.output('y', 'float32', ['row', 'out']);
  return graph.encode();
}
