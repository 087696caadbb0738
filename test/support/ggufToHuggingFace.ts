import fs from 'node:fs';
import path from 'node:path';

/**
 * Turns a Llama-layout GGUF file into a Hugging Face folder with float16 weights, for tests on a real model:
 *
 *     node test/support/ggufToHuggingFace.ts FILE.gguf FOLDER
 *
 * Knows the storage types F32, F16, Q4_1 and Q8_0 and byte-level vocabularies of the `smollm` kind; nothing else.
 */
export function convertGguf(file: string, folder: string): void {
  const bytes = fs.readFileSync(file);
  const { metadata, tensors } = readGguf(bytes);
  const field = <T>(name: string): T => {
    if (!metadata.has(name)) throw new Error(`${file} has no ${name}`);
    return metadata.get(name) as T;
  };
  const nHeads = field<number>('llama.attention.head_count');
  const dModel = field<number>('llama.embedding_length');
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: dModel,
    intermediate_size: field('llama.feed_forward_length'),
    num_hidden_layers: field('llama.block_count'),
    num_attention_heads: nHeads,
    num_key_value_heads: field('llama.attention.head_count_kv'),
    rms_norm_eps: Number(field<number>('llama.attention.layer_norm_rms_epsilon').toPrecision(6)),
    rope_theta: field('llama.rope.freq_base'),
    max_position_embeddings: field('llama.context_length'),
    vocab_size: field('llama.vocab_size'),
    hidden_act: 'silu',
    tie_word_embeddings: !tensors.some((tensor) => tensor.name === 'output.weight'),
    torch_dtype: 'float16',
  };
  fs.mkdirSync(folder, { recursive: true });
  const write = (name: string, value: unknown) =>
    fs.writeFileSync(path.join(folder, name), JSON.stringify(value, null, 1));
  write('config.json', config);
  write(
    'tokenizer.json',
    tokenizerJson(field('tokenizer.ggml.tokens'), field('tokenizer.ggml.token_type'), field('tokenizer.ggml.merges')),
  );
  const tokens = field<string[]>('tokenizer.ggml.tokens');
  write('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: tokens[field<number>('tokenizer.ggml.bos_token_id')],
    eos_token: tokens[field<number>('tokenizer.ggml.eos_token_id')],
    pad_token: tokens[field<number>('tokenizer.ggml.padding_token_id')],
    chat_template: metadata.get('tokenizer.chat_template'),
    clean_up_tokenization_spaces: false,
  });
  const converted = tensors.map((tensor) => {
    const heads = headCount(tensor.name, nHeads, config.num_key_value_heads as number);
    const values = dequantise(bytes, tensor);
    return {
      name: hubName(tensor.name),
      shape: [...tensor.dims].reverse(),
      values: heads ? unpermuted(values, heads, tensor.dims[0]!) : values,
    };
  });
  writeSafetensors(path.join(folder, 'model.safetensors'), converted);
}

type GgufTensor = {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  readonly offset: number;
};

/** The header: magic, version, counts, metadata, tensor table; tensors begin at the next multiple of 32. */
function readGguf(bytes: Buffer): { metadata: Map<string, unknown>; tensors: GgufTensor[] } {
  let at = 8;
  const next = (length: number): number => {
    at += length;
    return at - length;
  };
  const u32 = () => bytes.readUInt32LE(next(4));
  const u64 = () => Number(bytes.readBigUInt64LE(next(8)));
  const text = () => {
    const length = u64();
    return bytes.toString('utf8', next(length), at);
  };
  const value = (type: number): unknown => {
    switch (type) {
      case 4:
        return u32();
      case 6:
        return bytes.readFloatLE(next(4));
      case 7:
        return bytes[next(1)] !== 0;
      case 5:
        return bytes.readInt32LE(next(4));
      case 8:
        return text();
      case 9: {
        const [item, count] = [u32(), u64()];
        return Array.from({ length: count }, () => value(item));
      }
      default:
        throw new Error(`metadata of type ${type}`);
    }
  };
  if (bytes.toString('latin1', 0, 4) !== 'GGUF') throw new Error('not a GGUF file');
  const [nTensors, nFields] = [u64(), u64()];
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < nFields; i++) {
    const name = text();
    metadata.set(name, value(u32()));
  }
  const table = Array.from({ length: nTensors }, () => {
    const name = text();
    const dims = Array.from({ length: u32() }, u64);
    return { name, dims, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / 32) * 32;
  return { metadata, tensors: table.map((tensor) => ({ ...tensor, offset: start + tensor.offset })) };
}

/** Q4_1: 32 values as scale, minimum (float16) and 16 bytes, low halves first. Q8_0: scale and 32 signed bytes. */
function dequantise(bytes: Buffer, tensor: GgufTensor): Float32Array {
  const size = tensor.dims.reduce((product, dim) => product * dim, 1);
  const values = new Float32Array(size);
  let at = tensor.offset;
  const half = () => {
    at += 2;
    return halfToNumber(bytes.readUInt16LE(at - 2));
  };
  if (tensor.type === 0) for (let i = 0; i < size; i++) values[i] = bytes.readFloatLE(tensor.offset + 4 * i);
  else if (tensor.type === 1) for (let i = 0; i < size; i++) values[i] = half();
  else if (tensor.type === 3) {
    for (let block = 0; block < size; block += 32) {
      const [scale, minimum] = [half(), half()];
      for (let i = 0; i < 16; i++, at++) {
        values[block + i] = (bytes[at]! & 15) * scale + minimum;
        values[block + 16 + i] = (bytes[at]! >> 4) * scale + minimum;
      }
    }
  } else if (tensor.type === 8) {
    for (let block = 0; block < size; block += 32) {
      const scale = half();
      for (let i = 0; i < 32; i++, at++) values[block + i] = bytes.readInt8(at) * scale;
    }
  } else throw new Error(`${tensor.name} has storage type ${tensor.type}`);
  return values;
}

function headCount(name: string, nHeads: number, nKeyValueHeads: number): number | null {
  if (name.endsWith('attn_q.weight')) return nHeads;
  return name.endsWith('attn_k.weight') ? nKeyValueHeads : null;
}

/** GGUF interleaves the two halves that rotation mixes; Hugging Face keeps them apart. */
function unpermuted(values: Float32Array, heads: number, width: number): Float32Array {
  const dHead = values.length / width / heads;
  const result = new Float32Array(values.length);
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < dHead; i++) {
      const from = (head * dHead + (i % (dHead / 2)) * 2 + Math.floor(i / (dHead / 2))) * width;
      result.set(values.subarray(from, from + width), (head * dHead + i) * width);
    }
  }
  return result;
}

const layerNames: Record<string, string> = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

function hubName(name: string): string {
  const layer = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name);
  if (layer) return `model.layers.${layer[1]}.${layerNames[layer[2]!]}.weight`;
  const whole: Record<string, string> = {
    'token_embd.weight': 'model.embed_tokens.weight',
    'output_norm.weight': 'model.norm.weight',
    'output.weight': 'lm_head.weight',
  };
  return whole[name]!;
}

function tokenizerJson(tokens: string[], types: number[], merges: string[]): unknown {
  const control = tokens.flatMap((content, id) => (types[id] === 3 ? [{ id, content }] : []));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    added_tokens: control.map((token) => ({ ...token, ...flags })),
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
  };
}

function writeSafetensors(file: string, tensors: { name: string; shape: number[]; values: Float32Array }[]): void {
  let offset = 0;
  const entries = tensors.map(({ name, shape, values }) => {
    const begin = offset;
    offset += values.length * 2;
    return [name, { dtype: 'F16', shape, data_offsets: [begin, offset] }] as const;
  });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  const descriptor = fs.openSync(`${file}.part`, 'w');
  fs.writeSync(descriptor, prefix);
  fs.writeSync(descriptor, text);
  for (const { values } of tensors) fs.writeSync(descriptor, Uint16Array.from(values, numberToHalf));
  fs.closeSync(descriptor);
  fs.renameSync(`${file}.part`, file);
}

function halfToNumber(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const floatBits = new Float32Array(1);
const integerBits = new Uint32Array(floatBits.buffer);

/** To the nearest float16, ties to even: the low 13 bits of the fraction go, the exponent's bias shrinks by 112. */
function numberToHalf(value: number): number {
  floatBits[0] = value;
  const sign = (integerBits[0]! >>> 16) & 0x8000;
  const size = integerBits[0]! & 0x7fffffff;
  if (size >= 0x477ff000) throw new Error(`${value} is no float16`);
  if (size < 0x38800000) return sign | roundToEven(Math.abs(value) * 2 ** 24);
  return sign | ((size + 0xfff + ((size >>> 13) & 1) - 0x38000000) >>> 13);
}

function roundToEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

if (process.argv[1] === import.meta.filename) convertGguf(process.argv[2]!, process.argv[3]!);
