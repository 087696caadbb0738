import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GraphBuilder } from '../../src/engine/runtime/onnxModel.ts';
import { createSession, floatsOf, floatTensor, halfTensor, integerTensor } from '../../src/engine/runtime/session.ts';

test('a graph of constants, inputs and attributes computes what it says', async () => {
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['rows', 2]);
  graph.input('index', 'int64', ['picked']);
  const doubled = graph.node('Mul', ['x', graph.floats(2)]);
  const picked = graph.node('Gather', [doubled, 'index'], { axis: 0 });
  graph.node('ReduceSum', [picked, graph.integers([-1])], { keepdims: 0 }, 'sums');
  graph.output('sums');
  using session = await createSession(graph.encode());
  const { sums } = await session.run({
    x: floatTensor(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]),
    index: integerTensor([2, 0], [2]),
  });
  assert.deepEqual([...floatsOf(sums!)], [22, 6]);
});

test('bfloat16 weights handed over as 16-bit integers are read exactly', async () => {
  const graph = new GraphBuilder();
  graph.input('bits', 'uint16', ['n']);
  const brain = graph.node('BitCast', ['bits'], { to: 16 });
  graph.node('Cast', [brain], { to: 1 }, 'wide');
  graph.output('wide');
  using session = await createSession(graph.encode());
  const { wide } = await session.run({ bits: halfTensor(Uint16Array.of(0x3f80, 0xc000, 0x3e80), [3]) });
  assert.deepEqual([...floatsOf(wide!)], [1, -2, 0.25]);
});

test('a tensor whose data does not fill its shape is refused with both sizes', () => {
  assert.throws(() => floatTensor(new Float32Array(5), [2, 3]), /needs 6 numbers, got 5/);
});
