import { StoplineError } from '../../errors.ts';
import { type Field, ProtobufReader } from './protobuf.ts';

/** One node; its attributes are read when they are asked for. */
export interface NodeDef {
  name: string;
  operator: string;
  inputs: string[];
  field: Field;
}

/** A function: what it is given, what it gives back, and its own graph. */
export interface FunctionDef {
  name: string;
  /** Place of each argument. */
  inputs: ReadonlyMap<string, number>;
  /** What each result is, as an input of a node. */
  results: string[];
  nodes: ReadonlyMap<string, NodeDef>;
}

/** An input or output of a signature. */
interface TensorInfo {
  /** What users call it. */
  key: string;
  /** The tensor in the graph, such as `serving_default_image:0`. */
  tensor: string;
  /** `DataType` of TensorFlow. */
  type: number;
  shape?: (number | null)[];
}

export interface Signature {
  inputs: TensorInfo[];
  outputs: TensorInfo[];
}

/** A graph with what it is served by. */
export interface MetaGraph {
  tags: string[];
  nodes: ReadonlyMap<string, NodeDef>;
  functions: ReadonlyMap<string, FunctionDef>;
  signatures: ReadonlyMap<string, Signature>;
  /** The node that fills the variables, where there are any. */
  restore?: string;
}

/** The value of an attribute, as TensorFlow.js has it in JSON. */
export type Attribute = Record<string, unknown>;

export const invalidSavedModel = (what: string) =>
  new StoplineError('MODEL_INVALID', `Expected a SavedModel or frozen graph of TensorFlow but ${what}.`);

const invalid = invalidSavedModel;

/**
 * Reads graphs of TensorFlow. Field numbers are those of tensorflow/core/protobuf/{saved_model,meta_graph,saver}.proto and
 * tensorflow/core/framework/{graph,node_def,attr_value,function,op_def,tensor_shape}.proto.
 */
export class GraphDefReader {
  readonly reader: ProtobufReader;
  readonly #maxNodes: number;
  #nodes = 0;

  /** @param maxNodes nodes of all graphs and functions together */
  constructor(bytes: Uint8Array, { maxFields, maxNodes }: { maxFields: number; maxNodes: number }) {
    this.reader = new ProtobufReader(bytes, maxFields, 'a graph of TensorFlow');
    this.#maxNodes = maxNodes;
  }

  /**
   * The graphs of a SavedModel: meta_graphs 2.
   * @throws {StoplineError} MODEL_INVALID, MODEL_TRUNCATED, MODEL_TOO_LARGE
   */
  readMetaGraphs(): MetaGraph[] {
    const graphs: MetaGraph[] = [];
    this.reader.each(0, this.reader.bytes.length, (field) => {
      if (field.number === 2) graphs.push(this.#readMetaGraph(message(field)));
    });
    return graphs;
  }

  /**
   * The graph of a file that is one GraphDef, as TensorFlow 1 froze them: no variables, no signatures.
   * @throws {StoplineError} MODEL_INVALID, MODEL_TRUNCATED, MODEL_TOO_LARGE
   */
  readWholeGraph(): MetaGraph {
    const nodes = new Map<string, NodeDef>();
    const functions = new Map<string, FunctionDef>();
    const { length } = this.reader.bytes;
    this.#readGraph({ number: 2, wire: 2, start: 0, from: 0, to: length, value: length }, nodes, functions);
    return { tags: [], nodes, functions, signatures: new Map() };
  }

  /** MetaGraphDef: meta_info_def 1 (tags 4), graph_def 2, saver_def 3 (restore_op_name 3), signature_def 5. */
  #readMetaGraph({ from, to }: Field): MetaGraph {
    const tags: string[] = [];
    const nodes = new Map<string, NodeDef>();
    const functions = new Map<string, FunctionDef>();
    const signatures = new Map<string, Signature>();
    let restore = '';
    this.reader.each(from, to, (field) => {
      if (field.number === 1) this.#each(field, 4, (tag) => tags.push(this.reader.text(tag)));
      else if (field.number === 2) this.#readGraph(message(field), nodes, functions);
      else if (field.number === 3)
        this.#each(field, 3, (name) => {
          restore = this.reader.text(name);
        });
      else if (field.number === 5) {
        const [name, signature] = this.#readEntry(field);
        signatures.set(name, this.#readSignature(signature));
      }
    });
    return { tags, nodes, functions, signatures, ...(restore && { restore }) };
  }

  /** GraphDef: node 1, library 2 (function 1). */
  #readGraph({ from, to }: Field, nodes: Map<string, NodeDef>, functions: Map<string, FunctionDef>): void {
    this.reader.each(from, to, (field) => {
      if (field.number === 1) this.#addNode(field, nodes);
      else if (field.number === 2)
        this.#each(field, 1, (definition) => {
          const read = this.#readFunction(definition);
          if (functions.has(read.name)) throw invalid(`it has two functions called ${quoted(read.name)}`);
          functions.set(read.name, read);
        });
    });
  }

  /** NodeDef: name 1, op 2, input 3, attr 5. */
  #addNode(field: Field, nodes: Map<string, NodeDef>): void {
    if (++this.#nodes > this.#maxNodes)
      throw new StoplineError('MODEL_TOO_LARGE', `Expected a model of at most ${this.#maxNodes} nodes.`);
    const node: NodeDef = { name: '', operator: '', inputs: [], field: message(field) };
    this.reader.each(field.from, field.to, (part) => {
      if (part.number === 1) node.name = this.reader.text(part);
      else if (part.number === 2) node.operator = this.reader.text(part);
      else if (part.number === 3) node.inputs.push(this.reader.text(part));
    });
    if (nodes.has(node.name)) throw invalid(`it has two nodes called ${quoted(node.name)}`);
    nodes.set(node.name, node);
  }

  /** FunctionDef: signature 1 (name 1, input_arg 2, output_arg 3, of which name 1), node_def 3, ret 4. */
  #readFunction({ from, to }: Field): FunctionDef {
    let name = '';
    const inputs = new Map<string, number>();
    const outputs: string[] = [];
    const nodes = new Map<string, NodeDef>();
    const returned = new Map<string, string>();
    this.reader.each(from, to, (field) => {
      if (field.number === 1)
        this.reader.each(field.from, field.to, (part) => {
          if (part.number === 1) name = this.reader.text(part);
          else if (part.number === 2) inputs.set(this.#readName(part), inputs.size);
          else if (part.number === 3) outputs.push(this.#readName(part));
        });
      else if (field.number === 3) this.#addNode(field, nodes);
      else if (field.number === 4) {
        const [result, source] = this.#readEntry(field);
        returned.set(result, this.reader.text(source));
      }
    });
    const results = outputs.map((output) => {
      const source = returned.get(output);
      if (source === undefined) throw invalid(`the function ${quoted(name)} does not say what ${quoted(output)} is`);
      return source;
    });
    return { name, inputs, results, nodes };
  }

  #readName(field: Field): string {
    let name = '';
    this.#each(field, 1, (part) => {
      name = this.reader.text(part);
    });
    return name;
  }

  /** SignatureDef: inputs 1 and outputs 2, each a map to TensorInfo (name 1, dtype 2, tensor_shape 3). */
  #readSignature({ from, to }: Field): Signature {
    const signature: Signature = { inputs: [], outputs: [] };
    this.reader.each(from, to, (field) => {
      if (field.number !== 1 && field.number !== 2) return;
      const [key, value] = this.#readEntry(field);
      const info: TensorInfo = { key, tensor: '', type: 0 };
      this.reader.each(value.from, value.to, (part) => {
        if (part.number === 1) info.tensor = this.reader.text(part);
        else if (part.number === 2) info.type = part.value;
        else if (part.number === 3) {
          const shape = this.readShape(part);
          if (shape) info.shape = shape;
        }
      });
      (field.number === 1 ? signature.inputs : signature.outputs).push(info);
    });
    // A map has no order of its own.
    for (const list of [signature.inputs, signature.outputs]) list.sort((a, b) => (a.key < b.key ? -1 : 1));
    return signature;
  }

  /** TensorShapeProto: dim 2 (size 1), unknown_rank 3; undefined where the rank is not known. */
  readShape({ from, to }: Field): (number | null)[] | undefined {
    const shape: (number | null)[] = [];
    let isUnknown = false;
    this.reader.each(from, to, (field) => {
      if (field.number === 3) isUnknown = field.value !== 0;
      if (field.number !== 2) return;
      let size = 0;
      this.#each(field, 1, ({ value }) => {
        size = value;
      });
      shape.push(size < 0 ? null : size);
    });
    return isUnknown ? undefined : shape;
  }

  /** The attributes of a node that are neither tensors nor notes of TensorFlow to itself. */
  readAttributes(node: NodeDef): Record<string, Attribute> {
    const attributes: Record<string, Attribute> = {};
    this.#eachAttribute(node, (name, value) => {
      if (!name.startsWith('_') && name !== 'value') attributes[name] = this.#readValue(value);
    });
    return attributes;
  }

  /** Where an attribute of a node has its value: an AttrValue. */
  findAttribute(node: NodeDef, wanted: string): Field | undefined {
    let found: Field | undefined;
    this.#eachAttribute(node, (name, value) => {
      if (name === wanted) found = value;
    });
    return found;
  }

  /** The text of an attribute: s 2. */
  readText(node: NodeDef, name: string): string | undefined {
    const value = this.findAttribute(node, name);
    let text: string | undefined;
    if (value)
      this.#each(value, 2, (part) => {
        text = this.reader.text(part);
      });
    return text;
  }

  /** The functions that an attribute names: func 10, or a list 1 of func 9; of each name 1. */
  readFunctions(node: NodeDef, attribute: string): string[] {
    const value = this.findAttribute(node, attribute);
    const names: string[] = [];
    if (value)
      this.reader.each(value.from, value.to, (part) => {
        if (part.number === 10) names.push(this.#readName(part));
        else if (part.number === 1) this.#each(part, 9, (one) => names.push(this.#readName(one)));
      });
    return names;
  }

  #eachAttribute(node: NodeDef, visit: (name: string, value: Field) => void): void {
    this.#each(node.field, 5, (entry) => visit(...this.#readEntry(entry)));
  }

  /** AttrValue: list 1, s 2, i 3, f 4, b 5, type 6, shape 7; a list has the same numbers. */
  #readValue({ from, to }: Field): Attribute {
    const value: Attribute = {};
    this.reader.each(from, to, (field) => {
      if (field.number !== 1) return void this.#readScalar(field, (name, one) => (value[name] = one));
      const list: Record<string, unknown[]> = {};
      this.reader.each(field.from, field.to, (part) =>
        this.#readScalar(part, (name, one) => {
          list[name] ??= [];
          list[name].push(one);
        }),
      );
      value.list = list;
    });
    return value;
  }

  #readScalar(field: Field, set: (name: string, value: unknown) => void): void {
    const { number, wire, from, to, value } = field;
    const { bytes } = this.reader;
    if (number === 2) set('s', Buffer.from(bytes.subarray(from, Math.min(to, from + 4096))).toString('base64'));
    else if (number === 3 || number === 6) {
      const numbers: number[] = [];
      this.reader.integers(field, numbers);
      for (const one of numbers) set(number === 3 ? 'i' : 'type', number === 3 ? String(one) : one);
    } else if (number === 4) {
      // One of four bytes, or several behind each other.
      const view = new DataView(bytes.buffer, bytes.byteOffset + from, to - from);
      for (let at = 0; at + 4 <= to - from; at += 4) set('f', view.getFloat32(at, true));
    } else if (number === 5 && wire === 0) set('b', value !== 0);
    else if (number === 7) {
      const shape = this.readShape(field);
      const dim = shape?.map((size) => ({ size: String(size ?? -1) }));
      set('shape', dim ? { dim } : { unknownRank: true });
    }
  }

  #each({ from, to }: Field, number: number, visit: (field: Field) => void): void {
    this.reader.each(from, to, (field) => {
      if (field.number === number) visit(field);
    });
  }

  /** A field of a map: key 1, value 2. */
  #readEntry({ from, to }: Field): [name: string, value: Field] {
    let name: string | undefined;
    let value: Field | undefined;
    this.reader.each(from, to, (field) => {
      if (field.number === 1) name = this.reader.text(field);
      else if (field.number === 2) value = field;
    });
    if (name === undefined || value === undefined) throw invalid('an entry of a map has no key or no value');
    return [name, value];
  }
}

function message(field: Field): Field {
  if (field.wire !== 2) throw invalid(`the field at byte ${field.start} is of another kind than it should be`);
  return field;
}

/** Names come from the file: they must not grow or break a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
