import type { ErrorEdit, Patch } from '../../protocol/engine.ts';
import type { ForwardResult } from '../model/languageModel.ts';
import type { ActiveFeatures } from '../transcoders/encode.ts';
import { decoderRows, writtenAmounts } from '../transcoders/featureRows.ts';
import { featureInput, featureOutput } from '../transcoders/tapPoint.ts';
import { checkSite } from './intervention.ts';
import { patchedPositions } from './patch.ts';
import type { Parts } from './run.ts';

/** What becomes of one error node: a multiple of what it is in the run, or another vector [dModel]. */
export type ErrorChange = { readonly layer: number; readonly pos: number } & (
  | { readonly factor: number }
  | { readonly vector: Float32Array }
);

/** A run with its features, as error nodes are read from it. */
export type EncodedRun = {
  readonly run: ForwardResult;
  /** By layer; layers above those that are asked for may be missing. */
  readonly active: readonly ActiveFeatures[];
};

/**
 * Error nodes of one layer: what the model writes there less what its features, their biases and the skip matrix do.
 * @param input  [pos, dModel] at the layer's input hook
 * @param output [pos, dModel] at its output hook
 * @returns      [positions, dModel]; 0 at special positions
 */
export async function errorsAt(
  { set, encoder }: Parts,
  layer: number,
  { input, output, active }: { input: Float32Array; output: Float32Array; active: readonly ActiveFeatures[] },
  positions: readonly number[],
  firstPos: number,
): Promise<Float32Array> {
  const { dModel } = set;
  const rowOf = new Map(positions.map((pos, row) => [pos, row]));
  const errors = new Float32Array(positions.length * dModel);
  const inputs = new Float32Array(positions.length * dModel);
  for (const [row, pos] of positions.entries()) {
    inputs.set(input.subarray(pos * dModel, (pos + 1) * dModel), row * dModel);
    const bias = set.decoderBias[layer];
    for (let i = 0; i < dModel; i++) errors[row * dModel + i] = bias[i];
  }
  for (const [source, list] of active.slice(0, layer + 1).entries()) {
    const slot = set.layers[source].slots.find(({ writeLayer }) => writeLayer === layer);
    if (!slot) continue;
    const here = Array.from({ length: list.count }, (_, index) => index)
      .filter((index) => rowOf.has(list.pos[index]))
      .sort((a, b) => list.feature[a] - list.feature[b]);
    const features = here.map((index) => list.feature[index]);
    const rows = decoderRows(slot, features, dModel);
    const amounts = writtenAmounts(
      slot,
      features,
      here.map((index) => list.activation[index]),
    );
    for (const [row, index] of here.entries()) {
      const place = rowOf.get(list.pos[index])! * dModel;
      for (let i = 0; i < dModel; i++) errors[place + i] += amounts[row] * rows[row * dModel + i];
    }
  }
  await encoder.addSkip(layer, inputs, positions.length, errors);
  for (const [row, pos] of positions.entries()) {
    for (let i = 0; i < dModel; i++) {
      const place = row * dModel + i;
      errors[place] = pos < firstPos ? 0 : output[pos * dModel + i] - errors[place];
    }
  }
  return errors;
}

/**
 * The error nodes that patches and edits change, edits last: of two changes at one place the last holds.
 * @param others the patches' prompts as they run
 * @param nPos   positions of the prompt that is changed
 */
export async function errorChanges(
  parts: Parts,
  patches: readonly Patch[],
  others: readonly (EncodedRun & { readonly firstPos: number })[],
  edits: readonly ErrorEdit[],
  nPos: number,
): Promise<ErrorChange[]> {
  const changes = new Map<string, ErrorChange>();
  const { set, model } = parts;
  for (const [index, patch] of patches.entries()) {
    const { run, active, firstPos } = others[index];
    if (patch.nodes === undefined || patch.nodes === 'features') continue;
    const { positions, shift } = patchedPositions(patch, nPos, run.nPos);
    for (const layer of set.layers.keys()) {
      if (patch.layer !== null && patch.layer !== layer) continue;
      const theirs = {
        input: featureInput(set.inputHook, model, run, layer),
        output: featureOutput(set.outputHook, run, layer),
        active,
      };
      const from = positions.map((pos) => pos + shift);
      const vectors = await errorsAt(parts, layer, theirs, from, firstPos);
      for (const [row, pos] of positions.entries()) {
        const vector = vectors.subarray(row * set.dModel, (row + 1) * set.dModel);
        changes.set(`${layer} ${pos}`, { layer, pos, vector });
      }
    }
  }
  for (const edit of edits) {
    checkSite(edit, set.layers.length, nPos);
    changes.set(`${edit.layer} ${edit.pos}`, edit);
  }
  return [...changes.values()];
}
