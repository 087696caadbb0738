import { ProtobufWriter } from './protobuf.ts';

/** Element types of tensors, with their numbers in the ONNX format (TensorProto.DataType). */
export const elementTypes = {
  float32: 1,
  uint8: 2,
  uint16: 4,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const;
export type ElementType = keyof typeof elementTypes;

/** A number, or a name for a size that is known only when the graph runs. */
export type Dimension = number | string;

export type Attribute = number | string | readonly number[] | { readonly float: number };

/**
 * Builds one ONNX graph. Values are names: `input` and the constants give names, `node` takes and gives names.
 * Opset 26 (IR 12) is the first with BitCast, which reads bfloat16 weights handed over as uint16.
 */
export class GraphBuilder {
  readonly #nodes: ProtobufWriter[] = [];
  readonly #constants = new Map<string, { readonly name: string; readonly tensor: ProtobufWriter }>();
  readonly #inputs: ProtobufWriter[] = [];
  readonly #outputs: ProtobufWriter[] = [];
  readonly #domains = new Set<string>();
  #names = 0;

  input(name: string, type: ElementType, dims: readonly Dimension[]): string {
    this.#inputs.push(valueInfo(name, type, dims));
    return name;
  }

  /** Declares `name`, the result of a node, as an output of the graph. */
  output(name: string, type: ElementType = 'float32', dims?: readonly Dimension[]): void {
    this.#outputs.push(valueInfo(name, type, dims));
  }

  /** A float32 constant: a scalar for a number, a vector for a list. Equal constants are stored once. */
  floats(value: number | readonly number[]): string {
    return this.#constant('float32', value, (values) => new Uint8Array(new Float32Array(values).buffer));
  }

  /** An int64 constant: a scalar for a number, a vector for a list (shapes, axes, slice bounds). */
  integers(value: number | readonly number[]): string {
    return this.#constant('int64', value, (values) => new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer));
  }

  /**
   * Adds a node with one result.
   * @param type   operator, such as `MatMul`
   * @param result name to give to the result; made up when absent
   * @param domain operator set other than ONNX's own, such as `com.microsoft`
   */
  node(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    result?: string,
    domain = '',
  ): string {
    const name = result ?? this.#nextName();
    this.#add(type, inputs, attributes, [name], domain);
    return name;
  }

  /** Adds a node with several results, and gives their names. */
  nodeWithResults(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    results: number,
    domain = '',
  ): string[] {
    const names = Array.from({ length: results }, () => this.#nextName());
    this.#add(type, inputs, attributes, names, domain);
    return names;
  }

  /** The whole model, ready for `createSession`. */
  encode(): Uint8Array {
    const graph = new ProtobufWriter();
    for (const node of this.#nodes) graph.message(1, node);
    graph.text(2, 'graph');
    for (const { tensor } of this.#constants.values()) graph.message(5, tensor);
    for (const input of this.#inputs) graph.message(11, input);
    for (const output of this.#outputs) graph.message(12, output);
    const model = new ProtobufWriter().integer(1, 12).text(2, 'prompt-circuits').message(7, graph);
    model.message(8, new ProtobufWriter().text(1, '').integer(2, 26));
    for (const domain of this.#domains) model.message(8, new ProtobufWriter().text(1, domain).integer(2, 1));
    return model.finish().slice();
  }

  #nextName(): string {
    return `t${this.#names++}`;
  }

  #add(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    results: readonly string[],
    domain: string,
  ): void {
    const node = new ProtobufWriter();
    for (const input of inputs) node.text(1, input);
    for (const result of results) node.text(2, result);
    node.text(3, `${type}_${this.#nodes.length}`).text(4, type);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    if (domain) {
      node.text(7, domain);
      this.#domains.add(domain);
    }
    this.#nodes.push(node);
  }

  #constant(
    type: ElementType,
    value: number | readonly number[],
    bytesOf: (values: readonly number[]) => Uint8Array,
  ): string {
    const dims = typeof value === 'number' ? [] : [value.length];
    const values = typeof value === 'number' ? [value] : value;
    const key = `${type} ${dims} ${values}`;
    const known = this.#constants.get(key);
    if (known) return known.name;
    const name = `c${this.#constants.size}`;
    const tensor = new ProtobufWriter().integers(1, dims).integer(2, elementTypes[type]).text(8, name);
    this.#constants.set(key, { name, tensor: tensor.bytes(9, bytesOf(values)) });
    return name;
  }
}

/** AttributeProto; the numbers in field 20 name which of its value fields is used. */
function attribute(name: string, value: Attribute): ProtobufWriter {
  const writer = new ProtobufWriter().text(1, name);
  if (typeof value === 'number') return writer.integer(3, value).integer(20, 2);
  if (typeof value === 'string') return writer.text(4, value).integer(20, 3);
  if ('float' in value) return writer.float(2, value.float).integer(20, 1);
  for (const item of value) writer.integer(8, item);
  return writer.integer(20, 7);
}

function valueInfo(name: string, type: ElementType, dims: readonly Dimension[] | undefined): ProtobufWriter {
  const tensorType = new ProtobufWriter().integer(1, elementTypes[type]);
  if (dims) {
    const shape = new ProtobufWriter();
    for (const dim of dims) {
      const writer = new ProtobufWriter();
      shape.message(1, typeof dim === 'number' ? writer.integer(1, dim) : writer.text(2, dim));
    }
    tensorType.message(2, shape);
  }
  return new ProtobufWriter().text(1, name).message(2, new ProtobufWriter().message(1, tensorType));
}
