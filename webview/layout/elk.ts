import ELK, { type ELK as ElkInstance, type ElkNode } from 'elkjs/lib/elk-api.js';

/** A picture to lay out: boxes with sizes, and which leads to which. */
export type LayoutRequest = {
  readonly boxes: readonly { readonly id: string; readonly width: number; readonly height: number }[];
  readonly edges: readonly { readonly source: string; readonly target: string }[];
  readonly direction: 'RIGHT' | 'UP';
};
export type LayoutResult = {
  readonly width: number;
  readonly height: number;
  /** Left upper corners by box id. */
  readonly places: ReadonlyMap<string, { readonly x: number; readonly y: number }>;
};

export type Layouter = {
  /** Lays out in a worker. A new request ends the one before it, which then rejects with an AbortError. */
  layout(request: LayoutRequest): Promise<LayoutResult>;
};

/**
 * ELK's layered layout with a fixed seed, so that the same boxes always lie the same way.
 * @param workerAddress where the worker's source is; it is started from a blob, as webviews start no other
 */
export function createLayouter(workerAddress: string): Layouter {
  let source: Promise<string> | null = null;
  let current: { elk: ElkInstance; cancel: () => void } | null = null;
  let idle: ElkInstance | null = null;

  const start = async (): Promise<ElkInstance> => {
    source ??= fetch(workerAddress).then((response) => response.text());
    const address = URL.createObjectURL(new Blob([await source], { type: 'text/javascript' }));
    return new ELK({ workerFactory: () => new Worker(address) });
  };

  return {
    async layout(request) {
      current?.cancel();
      let isCancelled = false;
      let reject: (reason: unknown) => void = () => undefined;
      const cancelled = new Promise<never>((_, fail) => {
        reject = fail;
      });
      const elk = idle ?? (await start());
      idle = null;
      // While the worker's source was fetched another request may have come.
      current?.cancel();
      const own = {
        elk,
        cancel: () => {
          isCancelled = true;
          elk.terminateWorker();
          reject(new DOMException('A newer layout was asked for', 'AbortError'));
        },
      };
      current = own;
      try {
        return resultOf(await Promise.race([elk.layout(elkGraph(request)), cancelled]));
      } finally {
        if (current === own) current = null;
        if (!isCancelled) idle = elk;
      }
    },
  };
}

function elkGraph({ boxes, edges, direction }: LayoutRequest): ElkNode {
  return {
    id: 'root',
    layoutOptions: {
      'elk.algorithm': 'layered',
      'elk.direction': direction,
      'elk.randomSeed': '1',
      'elk.padding': '[top=14,left=18,bottom=14,right=18]',
      'elk.spacing.nodeNode': '12',
      'elk.layered.spacing.nodeNodeBetweenLayers': '46',
      'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
      'elk.layered.crossingMinimization.semiInteractive': 'false',
      'elk.separateConnectedComponents': 'false',
    },
    children: boxes.map(({ id, width, height }) => ({ id, width, height })),
    edges: edges.map(({ source, target }, position) => ({ id: `e${position}`, sources: [source], targets: [target] })),
  };
}

function resultOf(laidOut: ElkNode): LayoutResult {
  const places = new Map((laidOut.children ?? []).map(({ id, x, y }) => [id, { x: x ?? 0, y: y ?? 0 }]));
  return { width: laidOut.width ?? 0, height: laidOut.height ?? 0, places };
}
