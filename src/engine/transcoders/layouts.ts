import type { Limit } from './activation.ts';
import type { FloatTensor } from './floatTensor.ts';
import { type DecoderTensors, type LayerTensors, namedTensor, refused } from './layerTensors.ts';
import type { SetConfig } from './setConfig.ts';
import type { TensorFile } from './setFiles.ts';
import { arrangeSparsify } from './sparsify.ts';
import type { InputHook, OutputHook } from './transcoder.ts';

/** A published way of naming and orienting tensors. */
export type Layout = {
  readonly name: string;
  /** Orientation of a square encoder, where the shape does not say. */
  readonly isEncoderTransposed: boolean;
  readonly isSkipTransposed: boolean;
  /** What the set reads and writes when no config.yaml says. */
  readonly inputHook: InputHook;
  readonly outputHook: OutputHook;
  /** Set where the layout states how many features it keeps, in a file beside each layer's weights. */
  readonly limit: Limit | null;
};

type Names = {
  readonly encoder: string;
  readonly encoderBias: string;
  readonly threshold: readonly string[];
  readonly decoder: string;
  readonly decoderBias: string;
  readonly skip: string;
};

type FileLayout = Layout & { readonly names: Names; readonly extension: '.safetensors' | '.npz' | null };

const common = { isEncoderTransposed: false, isSkipTransposed: false, limit: null } as const;
const upperCase: Names = {
  encoder: 'W_enc',
  encoderBias: 'b_enc',
  threshold: ['activation_function.threshold', 'threshold'],
  decoder: 'W_dec',
  decoderBias: 'b_dec',
  skip: 'W_skip',
};

/** Layouts with one file per layer, told apart by extension and tensor names. */
const fileLayouts: readonly FileLayout[] = [
  {
    ...common,
    name: 'Gemma Scope',
    isEncoderTransposed: true,
    inputHook: 'ln2.hook_normalized',
    outputHook: 'hook_mlp_out',
    names: upperCase,
    extension: '.npz',
  },
  {
    ...common,
    name: 'circuit-tracer',
    inputHook: 'mlp.hook_in',
    outputHook: 'hook_mlp_out',
    names: upperCase,
    extension: null,
  },
  {
    ...common,
    name: 'Gemma Scope 2',
    isEncoderTransposed: true,
    isSkipTransposed: true,
    inputHook: 'mlp.hook_in',
    outputHook: 'hook_mlp_out',
    names: {
      encoder: 'w_enc',
      encoderBias: 'b_enc',
      threshold: ['threshold'],
      decoder: 'w_dec',
      decoderBias: 'b_dec',
      skip: 'affine_skip_connection',
    },
    extension: null,
  },
  {
    ...common,
    name: 'sparsify',
    inputHook: 'mlp.hook_in',
    outputHook: 'mlp.hook_out',
    names: {
      encoder: 'encoder.weight',
      encoderBias: 'encoder.bias',
      threshold: [],
      decoder: 'W_dec',
      decoderBias: 'b_dec',
      skip: 'W_skip',
    },
    extension: null,
  },
];

const crossLayerLayout: Layout = {
  ...common,
  name: 'circuit-tracer',
  inputHook: 'hook_resid_mid',
  outputHook: 'hook_mlp_out',
};

/** Finds which tensors make each layer, and by which layout. UserError says which layer or tensor is missing. */
export function arrangeLayers(
  files: readonly TensorFile[],
  config: SetConfig,
): { readonly layout: Layout; readonly layers: readonly LayerTensors[] } {
  if (files.length === 0) throw refused('hold no weights (*.safetensors or params.npz)');
  const isNumbered = files.some((file) => [...file.tensors.keys()].some((name) => /^W_enc_\d+$/.test(name)));
  return isNumbered ? arrangeNumbered(files) : arrangeFiles(files, config);
}

/** circuit-tracer's cross-layer sets: tensors carry their layer's number, in any file. */
function arrangeNumbered(files: readonly TensorFile[]): { layout: Layout; layers: LayerTensors[] } {
  const tensors = new Map<string, FloatTensor>();
  for (const file of files) {
    for (const [name, tensor] of file.tensors) {
      if (tensors.has(name)) throw refused(`hold ${name} twice: in ${tensors.get(name)!.file} and ${file.path}`);
      tensors.set(name, tensor);
    }
  }
  const numbers = [...tensors.keys()].flatMap((name) => /^W_enc_(\d+)$/.exec(name)?.[1] ?? []);
  checkComplete(numbers.map(Number));
  const layers = numbers.map((_, layer): LayerTensors => {
    const named = (name: string) => {
      const tensor = tensors.get(`${name}_${layer}`);
      if (!tensor) throw refused(`have no tensor ${name}_${layer}`);
      return tensor;
    };
    return {
      encoder: named('W_enc'),
      encoderBias: named('b_enc'),
      threshold: tensors.get(`threshold_${layer}`) ?? null,
      decoders: [plainDecoder(named('W_dec'))],
      decoderBiases: [named('b_dec')],
      skip: null,
      ...unscaled,
    };
  });
  return { layout: crossLayerLayout, layers };
}

function arrangeFiles(files: readonly TensorFile[], config: SetConfig): { layout: Layout; layers: LayerTensors[] } {
  const layout = fileLayouts.find(
    ({ names, extension }) =>
      files[0].tensors.has(names.encoder) && (extension === null || extension === files[0].extension),
  );
  if (!layout) {
    const names = [...files[0].tensors.keys()].slice(0, 8).map((name) => JSON.stringify(name.slice(0, 60)));
    throw refused(`have a layout that is not known: ${files[0].path} holds ${names.join(', ') || 'no tensor'}`);
  }
  const ordered = config.files ? [...files] : byLayerNumber(files);
  if (layout.name !== 'sparsify') return { layout, layers: ordered.map((file) => readFileLayer(file, layout.names)) };
  const { limit, layers } = arrangeSparsify(ordered);
  return { layout: { ...layout, limit }, layers };
}

function readFileLayer(file: TensorFile, names: Names): LayerTensors {
  return {
    encoder: namedTensor(file, names.encoder),
    encoderBias: namedTensor(file, names.encoderBias),
    threshold: names.threshold.map((name) => file.tensors.get(name)).find((tensor) => tensor !== undefined) ?? null,
    decoders: [plainDecoder(namedTensor(file, names.decoder))],
    decoderBiases: [namedTensor(file, names.decoderBias)],
    skip: file.tensors.get(names.skip) ?? null,
    ...unscaled,
  };
}

const unscaled = { inputNorm: null, outputNorm: null } as const;

function plainDecoder(tensor: FloatTensor): DecoderTensors {
  return { tensor, gain: null, onBias: null };
}

/** Files in the order of the layer number in their path (`layer_3…`, `layers.3.mlp`, `params_layer_3`). */
function byLayerNumber(files: readonly TensorFile[]): TensorFile[] {
  const byLayer = new Map<number, TensorFile>();
  for (const file of files) {
    const number = [...file.path.matchAll(/layers?[._-]?(\d+)/gi)].at(-1)?.[1];
    if (number === undefined) throw refused(`have ${file.path}, whose name does not say its layer`);
    const other = byLayer.get(Number(number));
    if (other) {
      throw refused(
        `have two files for layer ${number}, ${other.path} and ${file.path}: name one per layer under \`transcoders\` in a config.yaml`,
      );
    }
    byLayer.set(Number(number), file);
  }
  checkComplete([...byLayer.keys()]);
  return [...byLayer].sort(([a], [b]) => a - b).map(([, file]) => file);
}

function checkComplete(numbers: readonly number[]): void {
  const found = new Set(numbers);
  const missing = Array.from({ length: Math.min(Math.max(...numbers), 4096) + 1 }, (_, layer) => layer).filter(
    (layer) => !found.has(layer),
  );
  if (missing.length > 0) {
    throw refused(
      `lack layer${missing.length > 1 ? 's' : ''} ${missing.slice(0, 12).join(', ')}${missing.length > 12 ? ' …' : ''} of 0 to ${Math.max(...numbers)}`,
    );
  }
}
