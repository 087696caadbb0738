import path from 'node:path';
import { type AttributionRequest, Attributor } from '../../src/engine/attribution/attribute.ts';
import { CarryWeightStore } from '../../src/engine/attribution/carryWeights.ts';
import type { Target } from '../../src/engine/attribution/descent.ts';
import { prepareSweep, sweep } from '../../src/engine/attribution/directEffects.ts';
import { LocalModel } from '../../src/engine/attribution/localModel.ts';
import { columnPlan } from '../../src/engine/attribution/rowColumns.ts';
import { type CutRow, RowCutter, type RowLimits } from '../../src/engine/attribution/rowCut.ts';
import { RowStore } from '../../src/engine/attribution/rowStore.ts';
import { findActiveFeatures, gatherSources } from '../../src/engine/attribution/sources.ts';
import { carrySpecialTokens } from '../../src/engine/attribution/specialTokens.ts';
import { type PieceSizes, sweepInPieces } from '../../src/engine/attribution/sweepInPieces.ts';
import { SweepSessions } from '../../src/engine/attribution/sweepSessions.ts';
import type { SourceColumns } from '../../src/engine/attribution/writtenBlock.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { Encoder } from '../../src/engine/transcoders/encode.ts';
import { encoderRows } from '../../src/engine/transcoders/featureRows.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { featureInput } from '../../src/engine/transcoders/tapPoint.ts';
import type { OutputHook } from '../../src/engine/transcoders/transcoder.ts';
import { goldenJson, goldensFolder } from './goldens.ts';

/**
 * A case of the goldens: its model, transcoders and prompt.
 * @param patternBytes see `loadModel`
 * @param nWorkers     see `Attributor`
 */
export async function openPair(name: string, patternBytes?: number, nWorkers?: number) {
  const fields = goldenJson(name, 'case.json');
  const folder = path.join(goldensFolder, name);
  const model = await loadModel(path.join(folder, String(fields.model)), { patternBytes });
  const set = loadTranscoders(path.join(folder, String(fields.transcoders)), model.dimensions);
  const attributor = new Attributor(model, set, 'cpu', nWorkers);
  const request: AttributionRequest = {
    ids: fields.token_ids as number[],
    firstPos: Number(fields.zero_positions),
    targets: { type: 'top', maxLogits: 3, logitProbability: 0.8 },
    settings: { batchSize: 4, updateInterval: 1, maxFeatureNodes: 'all', adaptiveShare: 0.02, nodeThreshold: 0.8 },
  };
  return {
    model,
    set,
    attributor,
    request,
    [Symbol.dispose]: () => {
      attributor[Symbol.dispose]();
      set[Symbol.dispose]();
      model[Symbol.dispose]();
    },
  };
}

/** How a prompt is made ready; by default as short prompts are. */
type PromptOptions = {
  readonly patternBytes?: number;
  /** Of what features write. */
  readonly mostBytes?: number;
  /** Of what features write, each decoder row once. */
  readonly mostTableBytes?: number;
  /** Memory that counts as free. */
  readonly available?: number;
  /** [nPos] 1 where features are sources of their own. */
  readonly sourceMask?: Uint8Array;
  /** Where features write, instead of what the set's files say. */
  readonly outputHook?: OutputHook;
  /** Threads that sweep beside each other; absent: as many as the engine takes for such a model. */
  readonly workers?: number;
  /** Called before each batch of targets with targets done so far. */
  readonly onBatch?: (done: number) => Promise<void>;
};

/** Every effect is kept. */
export const wholeRows: RowLimits = { keptShare: 1, mostPerRow: Number.POSITIVE_INFINITY };

/** [source column] the effects on a target that a store has, 0 where it has none. */
export function denseRow(store: RowStore, key: number, count: number): Float32Array {
  const all = Uint32Array.from({ length: count }, (_, column) => column);
  const into = { source: new Uint32Array(count), weight: new Float32Array(count) };
  const end = store.pick(key, all, into, 0);
  const row = new Float32Array(count);
  for (let place = 0; place < end; place++) row[into.source[place]] = into.weight[place];
  return row;
}

/** Puts effects [source column] on a target into a store, cut to the store's limits. */
export function addRow(
  store: RowStore,
  sources: SourceColumns,
  key: number,
  target: Target,
  effects: Float32Array,
): void {
  store.add(key, new RowCutter(columnPlan(sources), store.limits).cut(target, effects));
}

/** A prompt ready for the sweep, with an output direction of its own. */
export async function openPrompt(name: string, options: PromptOptions = {}) {
  const { patternBytes, sourceMask, workers } = options;
  const pair = await openPair(name, patternBytes);
  const { model, set, request } = pair;
  if (options.outputHook) Object.assign(set, { outputHook: options.outputHook });
  const noWait = async () => {};
  const encoder = new Encoder(set);
  const run = await model.forward(request.ids, { logits: 'none' });
  const active = await findActiveFeatures(model, set, encoder, run, request.firstPos, noWait, sourceMask);
  const local = new LocalModel(model, set, run, new CarryWeightStore(model, workers !== undefined));
  const sources = await gatherSources(local, encoder, active, request.firstPos, noWait, options);
  const direction = Float32Array.from({ length: set.dModel }, (_, i) => Math.sin(i + 1));
  return {
    local,
    sources,
    direction,
    /**
     * Effects on every active feature, then on the output: [source column] each.
     * @param sizes null: not in pieces
     * @param copies how many times each is swept: the same again, one list after the other
     */
    effects: async (sizes: PieceSizes | null = null, copies = 1): Promise<Float32Array[]> => {
      using sessions = new SweepSessions(model.dimensions, 'cpu', workers);
      const special = await carrySpecialTokens(
        local,
        Math.min(request.firstPos, run.nPos),
        (await sessions.steps()).product,
      );
      const prepared = prepareSweep(local, sources, sessions, special);
      const each = Array.from(active.layer, (layer, index) => ({ layer, pos: active.pos[index] }));
      each.push({ layer: model.dimensions.nLayers, pos: run.nPos - 1 });
      const targets = Array.from({ length: copies }, () => each).flat();
      const reading = (place: number) => {
        const target = place % each.length;
        if (target === active.count) return local.finalReading(direction, run.nPos - 1);
        const row = encoderRows(set.layers[active.layer[target]].encoder, [active.feature[target]], set.dModel);
        local.scaleReading(active.layer[target], active.pos[target], row);
        return row;
      };
      const store = new RowStore(sources, wholeRows);
      const keep = { limits: wholeRows, take: (target: number, row: CutRow) => store.add(target, row) };
      if (sizes) await sweepInPieces(prepared, targets, reading, keep, noWait, sizes);
      else await sweep(prepared, targets, reading, keep, options.onBatch ?? noWait);
      return targets.map((_, target) => denseRow(store, target, sources.count));
    },
    /** Less the encoder's bias, which is no effect. */
    preActivation: async (layer: number, pos: number, feature: number): Promise<number> => {
      const values = await encoder.preActivations(layer, featureInput(set.inputHook, model, run, layer), run.nPos);
      return values[pos * set.nFeatures + feature] - set.layers[layer].encoderBias[feature];
    },
    [Symbol.dispose]: () => {
      encoder[Symbol.dispose]();
      pair[Symbol.dispose]();
    },
  };
}
