import {
  type NumberKind,
  readAll,
  readBytes,
  readText,
  standsTwice,
  type WireMessage,
  WireNumbers,
  WireReader,
} from '../../bodies/protobuf.ts';
import { nextTurn } from '../../bodies/turns.ts';
import type { FoundImages, Where } from '../protocol.ts';
import { Search } from '../search.ts';
import { invalid } from '../tensor.ts';
import { type CountedNumbers, lookIntoInputs, type TensorInput } from '../tensors.ts';
import { MessageSearch } from './search.ts';

/** Fields of `ModelInferRequest`. */
const request = { id: 3, inputs: 5, outputs: 6, rawInputContents: 7 };
/** Fields of `ModelInferRequest.InferInputTensor`. */
const tensor = { name: 1, datatype: 2, shape: 3, parameters: 4, contents: 5 };
/** Where the numbers of each datatype stand in `InferTensorContents`, and how. */
const contents: Readonly<Record<string, { number: number; kind: NumberKind }>> = {
  BOOL: { number: 1, kind: 'varint' },
  INT8: { number: 2, kind: 'varint' },
  INT16: { number: 2, kind: 'varint' },
  INT32: { number: 2, kind: 'varint' },
  INT64: { number: 3, kind: 'varint' },
  UINT8: { number: 4, kind: 'varint' },
  UINT16: { number: 4, kind: 'varint' },
  UINT32: { number: 4, kind: 'varint' },
  UINT64: { number: 5, kind: 'varint' },
  FP32: { number: 6, kind: 'float' },
  FP64: { number: 7, kind: 'double' },
};
const bytesContents = 8;

/** The images of a `ModelInferRequest` of the Open Inference Protocol: typed contents or raw ones. */
export async function findInModelInfer(bytes: Buffer, where: Where): Promise<FoundImages> {
  const reader = new WireReader();
  const message = reader.read(bytes);
  const search = new Search(where);
  const tensors = readAll(message, request.inputs).map((tensor) => reader.read(tensor));
  if (tensors.length === 0 || tensors.length > 256) throw invalid('1 to 256 inputs', String(tensors.length));
  const raw = readAll(message, request.rawInputContents);
  const inputs: TensorInput[] = [];
  for (const fields of tensors) inputs.push(await readInput(fields, reader));
  giveRawContents(inputs, tensors, raw);
  // Whatever stands beside the data of the inputs: parameters, and fields that this version does not know.
  const beside = new MessageSearch(search, reader);
  const isKnown = new Set([request.inputs, request.rawInputContents]);
  await beside.lookInto([...message.values()].flat().filter(({ number }) => !isKnown.has(number)));
  for (const [i, fields] of tensors.entries()) {
    const isData = new Set<number>([tensor.shape, tensor.contents]);
    await beside.lookInto([...fields.values()].flat().filter(({ number }) => !isData.has(number)));
    // Numbers of another datatype than its own.
    const own = placeOf(inputs[i].datatype);
    const data = reader.read(readBytes(fields, tensor.contents));
    await beside.lookInto([...data.values()].flat().filter(({ number }) => number !== own));
    if (standsTwice(fields, [tensor.name, tensor.datatype, tensor.contents])) {
      search.doubt(invalid('inputs with one name, one datatype and one contents', 'two of one'));
    }
  }
  await lookIntoInputs(search, inputs);
  const id = readText(message, request.id, 256);
  return search.finish(id === '' ? {} : { id });
}

async function readInput(fields: WireMessage, reader: WireReader): Promise<TensorInput> {
  const name = readText(fields, tensor.name, 256);
  const datatype = readText(fields, tensor.datatype, 50);
  const sides = new WireNumbers(fields, tensor.shape, 'varint');
  const shape = new Float64Array(9);
  const length = sides.read(shape);
  const isShape = length <= 8 && shape.every((side) => Number.isSafeInteger(side) && side >= 0);
  if (name === '' || !isShape) throw invalid('inputs with a name and a shape of at most eight sides');
  const parameters = readAll(fields, tensor.parameters).map((entry) => readText(reader.read(entry), 1, 100));
  const data = reader.read(readBytes(fields, tensor.contents));
  return {
    name,
    datatype,
    shape: [...shape.subarray(0, length)],
    isElsewhere: parameters.includes('shared_memory_region'),
    elements: () => readAll(data, bytesContents),
    numbers: () => readContents(data, { name, datatype }),
  };
}

function placeOf(datatype: string): number | undefined {
  if (datatype === 'BYTES') return bytesContents;
  return Object.hasOwn(contents, datatype) ? contents[datatype].number : undefined;
}

async function readContents(data: WireMessage, input: { name: string; datatype: string }): Promise<CountedNumbers> {
  const { name, datatype } = input;
  const place = Object.hasOwn(contents, datatype) ? contents[datatype] : undefined;
  if (!place) throw invalid(`raw_input_contents for the input "${name}" of ${datatype.slice(0, 50)}`, 'none');
  const numbers = () => new WireNumbers(data, place.number, place.kind);
  const length = await numbers().count();
  if (datatype === 'UINT8') await checkBytes(numbers(), name);
  return { source: numbers(), length };
}

/** @throws {StoplineError} REQUEST_INVALID for a number that is no byte: a server may take it modulo 256 */
async function checkBytes(numbers: WireNumbers, name: string): Promise<void> {
  const piece = new Float64Array(32_768);
  for (let length = numbers.read(piece); length > 0; length = numbers.read(piece)) {
    for (let i = 0; i < length; i++) {
      if (piece[i] < 0 || piece[i] > 255) {
        throw invalid(`numbers from 0 to 255 as the data of the input "${name}"`, String(piece[i]));
      }
    }
    await nextTurn();
  }
}

/** Raw contents belong to the inputs in their order; those in shared memory have none. */
function giveRawContents(inputs: readonly TensorInput[], tensors: readonly WireMessage[], raw: readonly Buffer[]) {
  if (raw.length === 0) return;
  const own = inputs.filter(({ isElsewhere }) => !isElsewhere);
  if (raw.length !== own.length) throw invalid(`raw_input_contents for ${own.length} inputs`, String(raw.length));
  for (const [i, input] of own.entries()) {
    if (readBytes(tensors[inputs.indexOf(input)], tensor.contents).length > 0) {
      throw invalid(`the data of the input "${input.name}" as contents or as raw_input_contents`, 'both');
    }
    input.binary = raw[i];
  }
}
