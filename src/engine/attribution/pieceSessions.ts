import { GraphBuilder } from '../runtime/onnxModel.ts';
import { createSession, type Provider, type Session } from '../runtime/session.ts';

/** The compiled steps of a sweep over a long prompt, a few positions of one head at a time. */
export type PieceSteps = {
  /** sum[key] + Σ_query pattern[key, query] · byQuery[query], the pattern given */
  readonly mix: Session;
  /** The same, the pattern made here from queries, keys and the sums of their softmax. */
  readonly mixFactors: Session;
  /** The same where scores are capped. */
  readonly mixCappedFactors: Session;
  /** x · w */
  readonly project: Session;
  /** x · w + sum */
  readonly projectOnto: Session;
};

/** Makes the steps when they are first needed. */
export class PieceSessions {
  readonly #provider: Provider;
  #steps: PieceSteps | null = null;

  constructor(provider: Provider) {
    this.#provider = provider;
  }

  async steps(): Promise<PieceSteps> {
    const create = (model: Uint8Array) => createSession(model, { provider: this.#provider });
    this.#steps ??= {
      mix: await create(mixGraph(null)),
      mixFactors: await create(mixGraph({ isCapped: false })),
      mixCappedFactors: await create(mixGraph({ isCapped: true })),
      project: await create(projectGraph(false)),
      projectOnto: await create(projectGraph(true)),
    };
    return this.#steps;
  }

  [Symbol.dispose](): void {
    for (const session of Object.values(this.#steps ?? {})) session[Symbol.dispose]();
    this.#steps = null;
  }
}

/** @param factors null: the pattern is an input */
function mixGraph(factors: { readonly isCapped: boolean } | null): Uint8Array {
  const graph = new GraphBuilder();
  const byQuery = graph.input('byQuery', 'float32', ['query', 'number']);
  // [key, number], or one number for all.
  const sum = graph.input('sum', 'float32', ['sums', 'sumWidth']);
  const pattern = factors ? patternNodes(graph, factors.isCapped) : graph.input('pattern', 'float32', ['key', 'query']);
  graph.node('Gemm', [pattern, byQuery, sum], {}, 'byKey');
  graph.output('byKey');
  return graph.encode();
}

/**
 * pattern[key, query] = exp(score − logSum[query]) · keyScale[key] · queryScale[query] where the query sees the key,
 * else 0: places are positions, and a query at q sees the keys from q − window + 1 to q.
 */
function patternNodes(graph: GraphBuilder, isCapped: boolean): string {
  const keys = graph.input('keys', 'float32', ['key', 'width']);
  const queries = graph.input('queries', 'float32', ['query', 'width']);
  const [logSums, queryScale, queryPlace] = ['logSums', 'queryScale', 'queryPlace'].map((name) =>
    graph.input(name, 'float32', [1, 'query']),
  );
  const [keyScale, keyPlace] = ['keyScale', 'keyPlace'].map((name) => graph.input(name, 'float32', ['key', 1]));
  const window = graph.input('window', 'float32', [1]);
  let score = graph.node('Gemm', [keys, queries], { transB: 1 });
  if (isCapped) {
    const cap = graph.input('softCap', 'float32', [1]);
    score = graph.node('Mul', [graph.node('Tanh', [graph.node('Div', [score, cap])]), cap]);
  }
  const distance = graph.node('Sub', [queryPlace, keyPlace]);
  const isSeen = graph.node('And', [
    graph.node('GreaterOrEqual', [distance, graph.floats(0)]),
    graph.node('Less', [distance, window]),
  ]);
  // Chosen before the exponential: what no query sees may be too large for it.
  const seen = graph.node('Where', [isSeen, graph.node('Sub', [score, logSums]), graph.floats(-1e30)]);
  const shares = graph.node('Exp', [seen]);
  return graph.node('Mul', [graph.node('Mul', [shares, keyScale]), queryScale]);
}

function projectGraph(adds: boolean): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['row', 'in']);
  const w = graph.input('w', 'float32', ['in', 'out']);
  graph.node('Gemm', adds ? [x, w, graph.input('sum', 'float32', ['row', 'out'])] : [x, w], {}, 'y');
  graph.output('y');
  return graph.encode();
}
