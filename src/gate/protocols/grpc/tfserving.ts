import {
  type NumberKind,
  readAll,
  readBytes,
  readNumber,
  readText,
  standsTwice,
  type WireMessage,
  WireNumbers,
  WireReader,
} from '../../bodies/protobuf.ts';
import type { FoundImages, Where } from '../protocol.ts';
import { Search } from '../search.ts';
import { invalid, readHalf, readUpperHalf, uninspected } from '../tensor.ts';
import { type CountedNumbers, lookIntoInputs, type TensorInput } from '../tensors.ts';
import { MessageSearch } from './search.ts';

/** Fields of `PredictRequest`. */
const request = { inputs: 2 };
/** Fields of `TensorProto`. */
const tensor = { dtype: 1, shape: 2, content: 4, strings: 8 };

interface DataType {
  /** As the Open Inference Protocol calls it. */
  name: string;
  /** Field with its numbers, and how they are written. */
  number: number;
  kind: NumberKind;
}

const ints = { number: 7, kind: 'varint' } as const;
const halves = { number: 13, kind: 'varint' } as const;
/** `DataType` of TensorFlow: what is quantised is like the plain type of its size. */
const dataTypes: Readonly<Record<number, DataType>> = {
  1: { name: 'FP32', number: 5, kind: 'float' },
  2: { name: 'FP64', number: 6, kind: 'double' },
  3: { name: 'INT32', ...ints },
  4: { name: 'UINT8', ...ints },
  5: { name: 'INT16', ...ints },
  6: { name: 'INT8', ...ints },
  7: { name: 'BYTES', number: tensor.strings, kind: 'varint' },
  9: { name: 'INT64', number: 10, kind: 'varint' },
  10: { name: 'BOOL', number: 11, kind: 'varint' },
  11: { name: 'INT8', ...ints },
  12: { name: 'UINT8', ...ints },
  13: { name: 'INT32', ...ints },
  14: { name: 'BF16', ...halves },
  15: { name: 'INT16', ...ints },
  16: { name: 'UINT16', ...ints },
  17: { name: 'UINT16', ...ints },
  19: { name: 'FP16', ...halves },
  22: { name: 'UINT32', number: 16, kind: 'varint' },
  23: { name: 'UINT64', number: 17, kind: 'varint' },
};

/** The images of a `PredictRequest` of TensorFlow Serving. */
export async function findInPredict(bytes: Buffer, where: Where): Promise<FoundImages> {
  const reader = new WireReader();
  const message = reader.read(bytes);
  const search = new Search(where);
  const entries = readAll(message, request.inputs).map((entry) => reader.read(entry));
  if (entries.length === 0 || entries.length > 256) throw invalid('1 to 256 inputs', String(entries.length));
  const beside = new MessageSearch(search, reader);
  const inputs: TensorInput[] = [];
  for (const entry of entries) {
    const fields = reader.read(readBytes(entry, 2));
    inputs.push(readTensor(readText(entry, 1, 256), fields, reader));
    const own = findDataType(fields)?.number;
    const isOwn = new Set([tensor.dtype, tensor.shape, tensor.content, own]);
    await beside.lookInto([...fields.values()].flat().filter(({ number }) => !isOwn.has(number)));
    const isTwofold = readBytes(fields, tensor.content).length > 0 && own !== undefined && fields.has(own);
    if (isTwofold || standsTwice(entry, [1, 2]) || standsTwice(fields, [tensor.dtype, tensor.shape, tensor.content])) {
      search.doubt(invalid('tensors with their values in one place', 'some in two'));
    }
  }
  await beside.lookInto([...message.values()].flat().filter(({ number }) => number !== request.inputs));
  await lookIntoInputs(search, inputs);
  return search.finish();
}

function readTensor(name: string, fields: WireMessage, reader: WireReader): TensorInput {
  const type = findDataType(fields);
  const shape = readShape(reader.read(readBytes(fields, tensor.shape)), reader);
  const content = readBytes(fields, tensor.content);
  const count = shape.reduce((product, side) => product * side, 1);
  const isText = type?.name === 'BYTES';
  return {
    name,
    datatype: type?.name ?? `DataType ${readNumber(fields, tensor.dtype)}`,
    shape,
    isElsewhere: false,
    ...(content.length > 0 && !isText && { binary: content }),
    elements: () => (content.length > 0 ? splitStrings(content, count) : readAll(fields, tensor.strings)),
    numbers: () => readValues(fields, { name, type, count }),
  };
}

function findDataType(fields: WireMessage): DataType | undefined {
  const code = readNumber(fields, tensor.dtype);
  return Object.hasOwn(dataTypes, code) ? dataTypes[code] : undefined;
}

function readShape(message: WireMessage, reader: WireReader): number[] {
  const sides = readAll(message, 2).map((side) => readNumber(reader.read(side), 1));
  const isShape = sides.length <= 8 && sides.every((side) => Number.isSafeInteger(side) && side >= 0);
  if (!isShape || readNumber(message, 3) !== 0) throw invalid('tensors with a shape of at most eight known sides');
  return sides;
}

async function readValues(
  fields: WireMessage,
  { name, type, count }: { name: string; type: DataType | undefined; count: number },
): Promise<CountedNumbers> {
  if (!type) throw invalid(`a known type of the input "${name}"`);
  const numbers = new WireNumbers(fields, type.number, type.kind);
  const length = await numbers.count();
  // TensorFlow repeats the last of them; a tensor of one colour is no image that anybody sends.
  if (length < count) throw uninspected(`the input "${name}" holds ${length} numbers for ${count}`);
  if (type.number !== halves.number) return { source: numbers, length };
  const readOne = type.name === 'FP16' ? readHalf : readUpperHalf;
  const source = {
    read(into: Float64Array): number {
      const filled = numbers.read(into);
      for (let i = 0; i < filled; i++) into[i] = readOne(into[i]);
      return filled;
    },
  };
  return { source, length };
}

/** Texts in `tensor_content`: all lengths as varints, then the texts one behind the other. */
function splitStrings(content: Buffer, count: number): Buffer[] {
  const lengths: number[] = [];
  let at = 0;
  for (let length = 0, unit = 1; lengths.length < count && at < content.length; at++) {
    length += (content[at] & 127) * unit;
    unit *= 128;
    if (content[at] > 127 && unit < 2 ** 35) continue;
    lengths.push(length);
    length = 0;
    unit = 1;
  }
  const sum = lengths.reduce((total, length) => total + length, 0);
  if (lengths.length !== count || at + sum !== content.length) {
    throw invalid(`a tensor_content of ${count} texts`, `${content.length} bytes`);
  }
  return lengths.map((length) => {
    at += length;
    return content.subarray(at - length, at);
  });
}
