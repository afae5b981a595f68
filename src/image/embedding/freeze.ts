import { StoplineError } from '../../errors.ts';
import {
  type Attribute,
  type FunctionDef,
  type GraphDefReader,
  invalidSavedModel as invalid,
  type MetaGraph,
  type NodeDef,
  quoted,
  type Signature,
} from './graphdef.ts';
import type { TensorBundle } from './tensorbundle.ts';
import { type ConstantValue, readTensorProto } from './tensorproto.ts';
import type { PlainTensor } from './tensors.ts';

/** A node of a frozen graph, as model.json of TensorFlow.js has it. */
export interface FrozenNode {
  name: string;
  op: string;
  input: string[];
  attr: Record<string, Attribute>;
}

/** A graph without functions and variables. */
export interface FrozenGraph {
  /** Whoever is read stands before whoever reads. */
  nodes: FrozenNode[];
  weights: { name: string; tensor: PlainTensor }[];
}

export interface FreezeLimits {
  maxNodes: number;
  /** Of all weights together. */
  maxBytes: number;
}

/** A graph that nodes are named within: the main one, or a call of a function. */
interface Scope {
  /** What stands before the names of its nodes: the calls that lead to it. */
  prefix: string;
  nodes: ReadonlyMap<string, NodeDef>;
  call?: { function: FunctionDef; from: Scope; inputs: readonly string[]; depth: number };
}

/** One output of a node that is left in a frozen graph. */
interface Place {
  scope: Scope;
  node: NodeDef;
  output: number;
}

/** What gives on what it is given; reading a variable is one of them, because variables become constants. */
const passing = new Set(
  (
    'Identity IdentityN StopGradient PreventGradient Snapshot EnsureShape CheckNumerics ReadVariableOp ' +
    'PlaceholderWithDefault'
  ).split(' '),
);
const calls = new Set(['PartitionedCall', 'StatefulPartitionedCall']);
const branches = new Set(['If', 'StatelessIf', 'Case', 'StatelessCase']);
/** Operators that the one graph has no more: others stand in their place. */
export const isReplaced = (operator: string) => passing.has(operator) || calls.has(operator) || branches.has(operator);
const variables = new Set(['VarHandleOp', 'VariableV2', 'Variable']);

/** Names of the outputs of operators that have several of different names: functions name them so. */
const normalised = ['y', 'batch_mean', 'batch_variance', 'reserve_space_1', 'reserve_space_2', 'reserve_space_3'];
const outputNames = new Map<string, string[]>([
  ['FusedBatchNorm', normalised],
  ['FusedBatchNormV2', normalised],
  ['FusedBatchNormV3', normalised],
  ['TopKV2', ['values', 'indices']],
  ['Unique', ['y', 'idx']],
  ['UniqueV2', ['y', 'idx']],
  ['Switch', ['output_false', 'output_true']],
  ['Merge', ['output', 'value_index']],
  ['MaxPoolWithArgmax', ['output', 'argmax']],
  ['NonMaxSuppressionV4', ['selected_indices', 'valid_outputs']],
  ['NonMaxSuppressionV5', ['selected_indices', 'selected_scores', 'valid_outputs']],
  ['CombinedNonMaxSuppression', ['nmsed_boxes', 'nmsed_scores', 'nmsed_classes', 'valid_detections']],
]);

/** Operators under another name of the same meaning. */
const renamed = new Map([
  ['BatchMatMulV3', 'BatchMatMulV2'],
  ['Inv', 'Reciprocal'],
  ['Rint', 'Round'],
]);

/**
 * Calls within calls, nodes in a row that only give on, and steps along edges of the graph before it is given up: hostile
 * graphs can be made to have 2^n.
 */
const limits = { depth: 64, row: 10_000, steps: 4_000_000 } as const;

/** Most bytes of a constant that a condition hangs on. */
const conditionBytes = 64;

const isControl = (input: string) => input.startsWith('^');

/**
 * Makes one graph of constants and operators out of what serves a SavedModel: calls of functions are put in place, variables
 * become what the checkpoint holds, branches that cannot be taken are left out, and only what the outputs need is kept.
 *
 * What each variable is called in the checkpoint is found as TensorFlow does it, by following the node that restores them.
 */
export class Freezer {
  readonly #graph: MetaGraph;
  readonly #file: GraphDefReader;
  readonly #bundle: TensorBundle | undefined;
  readonly #limits: FreezeLimits;
  readonly #main: Scope;
  readonly #scopes = new Map<string, Scope>();
  #steps = 0;
  #bytesLeft: number;
  /** Key in the checkpoint of each variable, by the place of its node. */
  #restored: ReadonlyMap<string, string> | undefined;
  readonly #names = new Map<NodeDef, readonly string[]>();
  /** Node of the main graph that stands for the image. */
  #input = '';

  constructor(file: GraphDefReader, graph: MetaGraph, bundle: TensorBundle | undefined, freezeLimits: FreezeLimits) {
    this.#file = file;
    this.#graph = graph;
    this.#bundle = bundle;
    this.#limits = freezeLimits;
    this.#bytesLeft = freezeLimits.maxBytes;
    this.#main = { prefix: '', nodes: graph.nodes };
  }

  /**
   * The graph of a signature of one input. Its input and outputs have the names of the signature.
   * @throws {StoplineError} MODEL_INVALID, MODEL_TOO_LARGE, MODEL_TRUNCATED
   */
  freeze({ inputs: [input], outputs }: Signature): FrozenGraph {
    this.#input = input.tensor.replace(/:\d+$/, '');
    const frozen: FrozenGraph = { nodes: [], weights: [] };
    const named = new Map<string, Place>();
    const ends = outputs.map(({ key, tensor }) => ({ key, place: this.#resolve(this.#main, tensor) }));
    for (const place of this.#collect(ends.map(({ place }) => place))) named.set(namePath(place), place);
    const inputName = named.has(input.key) ? this.#input : input.key;
    const name = (place: Place) => {
      const path = namePath(place);
      const shown = path === this.#input ? inputName : path;
      return place.output === 0 ? shown : `${shown}:${place.output}`;
    };
    for (const place of this.#sort(named)) {
      const path = namePath(place);
      if (path === this.#input) frozen.nodes.push(this.#makeInput(inputName, input));
      else if (place.node.operator === 'Const' || variables.has(place.node.operator)) this.#addWeight(place, frozen);
      else
        frozen.nodes.push({
          name: path,
          op: renamed.get(place.node.operator) ?? place.node.operator,
          input: this.#dataInputs(place).map((text) => name(this.#resolve(place.scope, text))),
          attr: this.#file.readAttributes(place.node),
        });
    }
    for (const { key, place } of ends) {
      if (!named.has(key)) frozen.nodes.push({ name: key, op: 'Identity', input: [name(place)], attr: {} });
    }
    return frozen;
  }

  #makeInput(name: string, { type, shape }: Signature['inputs'][number]): FrozenNode {
    const dim = shape?.map((size) => ({ size: String(size ?? -1) }));
    return {
      name,
      op: 'Placeholder',
      input: [],
      attr: { dtype: { type }, ...(dim && { shape: { shape: { dim } } }) },
    };
  }

  /** Every node that the ends need. */
  #collect(ends: readonly Place[]): Place[] {
    const found = new Map(ends.map((place) => [namePath(place), place]));
    for (const place of found.values()) {
      if (found.size > this.#limits.maxNodes)
        throw new StoplineError(
          'MODEL_TOO_LARGE',
          `Expected a model of at most ${this.#limits.maxNodes} nodes once its functions are put in place.`,
        );
      for (const text of this.#dataInputs(place)) {
        const source = this.#resolve(place.scope, text);
        const path = namePath(source);
        // A map is visited in the order in which it grows.
        if (!found.has(path)) found.set(path, source);
      }
    }
    return [...found.values()];
  }

  /** What a node computes from; nothing where it becomes an input or a constant. */
  #dataInputs({ scope, node }: Place): string[] {
    if (variables.has(node.operator) || (scope === this.#main && node.name === this.#input)) return [];
    return node.inputs.filter((input) => !isControl(input));
  }

  /** Whoever is read before whoever reads. */
  #sort(places: ReadonlyMap<string, Place>): Place[] {
    const sorted: Place[] = [];
    const state = new Map<string, 'open' | 'done'>();
    for (const first of places.values()) {
      const stack = [first];
      while (stack.length > 0) {
        const place = stack.at(-1) as Place;
        const path = namePath(place);
        if (state.get(path) === 'done') {
          stack.pop();
          continue;
        }
        const waiting =
          state.get(path) === 'open'
            ? []
            : this.#dataInputs(place)
                .map((text) => this.#resolve(place.scope, text))
                .filter((source) => state.get(namePath(source)) !== 'done');
        if (waiting.some((source) => state.get(namePath(source)) === 'open'))
          throw invalid(`the node ${quoted(path)} reads what it gives: its graph goes round in a circle`);
        state.set(path, waiting.length > 0 ? 'open' : 'done');
        if (waiting.length > 0) {
          stack.push(...waiting);
          continue;
        }
        state.set(path, 'done');
        sorted.push(places.get(path) as Place);
        stack.pop();
      }
    }
    return sorted;
  }

  #addWeight(place: Place, { nodes, weights }: FrozenGraph): void {
    const name = namePath(place);
    const value = place.node.operator === 'Const' ? this.#readConstant(place) : { tensor: this.#readVariable(place) };
    if ('texts' in value) return void nodes.push({ name, op: 'Const', input: [], attr: { dtype: { type: 7 } } });
    const { tensor } = value;
    this.#bytesLeft -= tensor.bytes.length;
    if (this.#bytesLeft < 0)
      throw new StoplineError('MODEL_TOO_LARGE', `Expected weights of at most ${this.#limits.maxBytes} bytes.`);
    const type = { float32: 1, int32: 3, bool: 10 }[tensor.dtype];
    nodes.push({ name, op: 'Const', input: [], attr: { dtype: { type } } });
    weights.push({ name, tensor });
  }

  /** @param maxBytes what it may take where it is a tensor */
  #readConstant({ node, scope }: Place, maxBytes = this.#bytesLeft): ConstantValue {
    const name = scope.prefix + node.name;
    const { reader } = this.#file;
    const value = this.#file.findAttribute(node, 'value');
    let found: ConstantValue | undefined;
    if (value)
      reader.each(value.from, value.to, (field) => {
        if (field.number !== 8) return;
        const shape = (part: Parameters<GraphDefReader['readShape']>[0]) => this.#file.readShape(part);
        found = readTensorProto(reader, field, { name, shape, maxBytes });
      });
    if (found === undefined) throw invalid(`the constant ${quoted(name)} has no value`);
    return found;
  }

  #readVariable(place: Place): PlainTensor {
    const path = namePath(place);
    this.#restored ??= this.#followRestore();
    const shared = this.#file.readText(place.node, 'shared_name') || place.node.name;
    const keys = [this.#restored.get(path), shared, `${shared}/.ATTRIBUTES/VARIABLE_VALUE`];
    const key = keys.find((candidate) => candidate !== undefined && this.#bundle?.has(candidate));
    if (key === undefined || this.#bundle === undefined)
      throw invalid(
        this.#bundle === undefined
          ? `it has the variable ${quoted(path)} but no folder of variables`
          : `its variables have no ${quoted(this.#restored.get(path) ?? shared)}, which is ${quoted(path)}`,
      );
    return this.#bundle.read(key);
  }

  /**
   * Every assignment that the node which restores variables leads to: of a variable, the output of a RestoreV2, whose second
   * input names what each of its outputs is called in the checkpoint.
   */
  #followRestore(): ReadonlyMap<string, string> {
    const keys = new Map<string, string>();
    const start = this.#graph.nodes.get(this.#graph.restore ?? '');
    if (start === undefined) return keys;
    const seen = new Set([start]);
    const waiting: { scope: Scope; node: NodeDef }[] = [{ scope: this.#main, node: start }];
    const add = (scope: Scope, node: NodeDef | undefined) => {
      if (node === undefined || seen.has(node)) return;
      seen.add(node);
      waiting.push({ scope, node });
    };
    for (const { scope, node } of waiting) {
      this.#step();
      if (/^Assign(VariableOp)?$/.test(node.operator)) this.#noteAssignment(scope, node, keys);
      const called = this.#enter(scope, node);
      if (called) for (const inner of called.nodes.values()) add(called, inner);
      for (const input of node.inputs) add(scope, scope.nodes.get(input.replace(/^\^/, '').split(':')[0]));
    }
    return keys;
  }

  #noteAssignment(scope: Scope, node: NodeDef, keys: Map<string, string>): void {
    const [variable, value] = node.inputs.map((input) => this.#resolve(scope, input));
    if (value?.node.operator !== 'RestoreV2' || !variables.has(variable.node.operator)) return;
    const [, names] = this.#dataInputs(value);
    if (names === undefined) return;
    const source = this.#resolve(value.scope, names);
    if (source.node.operator !== 'Const') return;
    const key = this.#readNames(source)[value.output];
    if (key !== undefined) keys.set(namePath(variable), key);
  }

  /** The texts of a constant, read once: every variable has its name in the same one. */
  #readNames(source: Place): readonly string[] {
    let texts = this.#names.get(source.node);
    if (texts === undefined) {
      const constant = this.#readConstant(source);
      texts = 'texts' in constant ? constant.texts : [];
      this.#names.set(source.node, texts);
    }
    return texts;
  }

  /** The node that computes an input, behind calls and what only gives on. */
  #resolve(from: Scope, input: string): Place {
    let [scope, text] = [from, input];
    for (let row = 0; row < limits.row; row++) {
      this.#step();
      const [name, part, last] = text.replace(/^\^/, '').split(':');
      const argument = part === undefined ? scope.call?.function.inputs.get(name) : undefined;
      if (scope.call && argument !== undefined) {
        text = scope.call.inputs[argument];
        if (text === undefined)
          throw invalid(`the function ${quoted(scope.call.function.name)} is called with too little`);
        scope = scope.call.from;
        continue;
      }
      const node = scope.nodes.get(name);
      if (node === undefined) throw invalid(`there is no node ${quoted(scope.prefix + name)}`);
      const output = findOutput(node, part, last);
      const next = this.#pass(scope, node, output);
      if (next === undefined) return { scope, node, output };
      [scope, text] = next;
    }
    throw invalid(`behind ${quoted(input)} stand more than ${limits.row} nodes that only give on, in a circle perhaps`);
  }

  /** Where an output comes from, if the node itself does nothing. */
  #pass(scope: Scope, node: NodeDef, output: number): [scope: Scope, input: string] | undefined {
    if (scope === this.#main && node.name === this.#input) return undefined;
    const inputs = node.inputs.filter((input) => !isControl(input));
    if (passing.has(node.operator)) {
      const source = inputs[node.operator === 'IdentityN' ? output : 0];
      if (source === undefined) throw invalid(`the node ${quoted(scope.prefix + node.name)} has no input`);
      return [scope, source];
    }
    const called = this.#enter(scope, node);
    if (called?.call) {
      const result = called.call.function.results[output];
      if (result === undefined)
        throw invalid(`the function ${quoted(called.call.function.name)} has no result ${output}`);
      return [called, result];
    }
    if (node.operator === 'Switch' && inputs[0] !== undefined)
      return this.#evaluate(scope, inputs[1]) === output ? [scope, inputs[0]] : undefined;
    if (node.operator === 'Merge' && output === 0) {
      const alive = inputs.filter((input) => !this.#isDead(scope, input));
      return alive.length === 1 ? [scope, alive[0]] : undefined;
    }
    return undefined;
  }

  /** The graph that a node calls, where that is known. */
  #enter(scope: Scope, node: NodeDef): Scope | undefined {
    const path = scope.prefix + node.name;
    const known = this.#scopes.get(path);
    if (known) return known;
    let inputs = node.inputs.filter((input) => !isControl(input));
    let name: string | undefined;
    if (calls.has(node.operator)) [name] = this.#file.readFunctions(node, 'f');
    else if (this.#graph.functions.has(node.operator)) name = node.operator;
    else if (branches.has(node.operator)) {
      const chosen = this.#evaluate(scope, inputs[0]);
      if (chosen === undefined) return undefined;
      const isIf = node.operator.endsWith('If');
      const names = this.#file.readFunctions(node, isIf ? (chosen ? 'then_branch' : 'else_branch') : 'branches');
      // Any other number than that of a branch means the last.
      name = isIf ? names[0] : (names[chosen] ?? names.at(-1));
      inputs = inputs.slice(1);
    } else return undefined;
    const called = this.#graph.functions.get(name ?? '');
    if (called === undefined) throw invalid(`there is no function ${quoted(name ?? '')}, which ${quoted(path)} calls`);
    const depth = (scope.call?.depth ?? 0) + 1;
    for (let outer: Scope | undefined = scope; outer; outer = outer.call?.from)
      if (outer.call?.function === called) throw invalid(`the function ${quoted(called.name)} calls itself`);
    if (depth > limits.depth) throw invalid(`its functions call each other deeper than ${limits.depth}`);
    if (this.#scopes.size > this.#limits.maxNodes)
      throw new StoplineError('MODEL_TOO_LARGE', `Expected at most ${this.#limits.maxNodes} calls of functions.`);
    const inner: Scope = {
      prefix: `${path}/`,
      nodes: called.nodes,
      call: { function: called, from: scope, inputs, depth },
    };
    this.#scopes.set(path, inner);
    return inner;
  }

  /** A condition that is known before anything runs: of a constant, or of constants joined. */
  #evaluate(scope: Scope, input: string | undefined, depth = 0): number | undefined {
    if (input === undefined || depth > 16) return undefined;
    const place = this.#resolve(scope, input);
    const { operator } = place.node;
    if (operator === 'Const') {
      // A condition is one number; a long constant in place of one would be read again for each that it decides.
      const value = this.#readConstant(place, conditionBytes);
      return 'tensor' in value && value.tensor.bytes.length > 0
        ? value.tensor.dtype === 'int32'
          ? new DataView(value.tensor.bytes.buffer, value.tensor.bytes.byteOffset).getInt32(0, true)
          : value.tensor.bytes[0]
        : undefined;
    }
    if (!/^Logical(Not|And|Or)$/.test(operator)) return undefined;
    const values = this.#dataInputs(place).map((text) => this.#evaluate(place.scope, text, depth + 1));
    if (operator === 'LogicalNot') return values[0] === undefined ? undefined : 1 - values[0];
    const deciding = operator === 'LogicalAnd' ? 0 : 1;
    if (values.includes(deciding)) return deciding;
    return values.includes(undefined) ? undefined : 1 - deciding;
  }

  /** Whether an input is never computed: behind a Switch that goes the other way. */
  #isDead(from: Scope, input: string): boolean {
    const waiting: [Scope, string][] = [[from, input]];
    const seen = new Set<string>();
    for (const [scope, text] of waiting) {
      const { node, scope: at } = this.#resolve(scope, text);
      const path = at.prefix + node.name;
      if (seen.has(path)) continue;
      seen.add(path);
      if (node.operator === 'Switch') {
        // One that goes this way has been passed.
        if (this.#evaluate(at, node.inputs[1]) !== undefined) return true;
        continue;
      }
      if (variables.has(node.operator)) continue;
      for (const source of node.inputs) waiting.push([at, source]);
    }
    return false;
  }

  #step(): void {
    if (++this.#steps > limits.steps)
      throw new StoplineError(
        'MODEL_TOO_LARGE',
        `Expected a graph that is put together in ${limits.steps} steps: its functions, or its cycles, lead to more.`,
      );
  }
}

const namePath = ({ scope, node }: Place) => scope.prefix + node.name;

/** Which output is meant: "name", "name:1" in a graph, "name:output:1" in a function. */
function findOutput(node: NodeDef, part: string | undefined, last: string | undefined): number {
  if (part === undefined) return 0;
  if (last === undefined) return Number(part) || 0;
  const names = outputNames.get(node.operator);
  const at = names ? names.indexOf(part) : 0;
  if (at < 0) throw invalid(`the node ${quoted(node.name)} has no output ${quoted(part)}`);
  return at + (Number(last) || 0);
}
