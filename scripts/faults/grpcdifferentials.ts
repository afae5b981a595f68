/**
 * Messages that a gate and its upstream could read differently, each with a bad image that some reader would take: those of
 * `differentials.ts` over gRPC. A closed gate must not let one of them reach the upstream.
 */
import { writeContent, writeNumber } from '../../src/gate/bodies/protobuf.ts';
import { inferMethod, predictMethod, strangeMethod } from '../../test/fixtures/grpc.ts';
import type { Pictures } from './differentialrequest.ts';

export interface GrpcDifferential {
  name: string;
  path: string;
  message(pictures: Pictures): Buffer;
}

/** Several fields behind each other, as protobuf joins messages. */
const join = (...fields: Buffer[]) => Buffer.concat(fields);
/** Numbers in one packed field: each a varint. */
function packed(number: number, values: Buffer): Buffer {
  return writeContent(number, Buffer.from([...values].flatMap((value) => (value > 127 ? [value, 1] : [value]))));
}
/** Numbers of four bytes each, in fields of their own. */
function fixed(number: number, values: Buffer): Buffer {
  return Buffer.concat([...values].map((value) => Buffer.from([number * 8 + 5, value, 0, 0, 0])));
}

const bytesContents = 8;
const uintContents = 4;
function infer(datatype: string, sides: number[], ...rest: Buffer[]): Buffer {
  const shape = writeContent(
    3,
    Buffer.from(sides.flatMap((side) => (side > 127 ? [(side & 127) | 128, side >> 7] : [side]))),
  );
  const tensor = join(writeContent(1, 'image'), writeContent(2, datatype), shape, ...rest);
  return join(writeContent(1, 'm'), writeContent(5, tensor));
}
const contents = (...fields: Buffer[]) => writeContent(5, join(...fields));

const sides = (...sizes: number[]) =>
  writeContent(2, join(...sizes.map((size) => writeContent(2, writeNumber(1, size)))));
const predict = (...entries: Buffer[]) =>
  join(writeContent(1, writeContent(1, 'm')), ...entries.map((entry) => writeContent(2, entry)));
const entry = (name: string, ...tensors: Buffer[]) =>
  join(writeContent(1, name), ...tensors.map((tensor) => writeContent(2, tensor)));
const strings = (image: Buffer) => join(writeNumber(1, 7), sides(1), writeContent(8, image));

export const grpcDifferentials: readonly GrpcDifferential[] = [
  {
    name: 'contents twice, which protobuf joins',
    path: inferMethod,
    message: ({ good, bad }) =>
      infer('BYTES', [1], contents(writeContent(bytesContents, bad)), contents(writeContent(bytesContents, good))),
  },
  {
    name: 'contents twice, the second empty',
    path: inferMethod,
    message: ({ bad }) => infer('BYTES', [1], contents(writeContent(bytesContents, bad)), contents()),
  },
  {
    name: 'pixels beside an encoded image',
    path: inferMethod,
    message: ({ good, badPixels }) =>
      infer('BYTES', [1], contents(writeContent(bytesContents, good), packed(uintContents, badPixels))),
  },
  {
    name: 'an encoded image beside pixels',
    path: inferMethod,
    message: ({ bad, goodPixels, width, height }) =>
      infer(
        'UINT8',
        [1, height, width, 3],
        contents(packed(uintContents, goodPixels), writeContent(bytesContents, bad)),
      ),
  },
  {
    name: 'a datatype twice',
    path: inferMethod,
    message: ({ good, badPixels }) =>
      infer(
        'UINT8',
        [1],
        writeContent(2, 'BYTES'),
        contents(writeContent(bytesContents, good), packed(uintContents, badPixels)),
      ),
  },
  {
    name: 'numbers in fields of a type that readers leave out',
    path: inferMethod,
    message: ({ goodPixels, width, height }) =>
      infer('UINT8', [1, height, width, 3], contents(fixed(uintContents, goodPixels))),
  },
  {
    name: 'a tensor in a field that nobody knows',
    path: inferMethod,
    message: ({ good, bad }) =>
      join(infer('BYTES', [1], contents(writeContent(bytesContents, good))), writeContent(99, bad)),
  },
  {
    name: 'an image in a parameter',
    path: inferMethod,
    message: ({ good, bad }) =>
      join(
        infer('BYTES', [1], contents(writeContent(bytesContents, good))),
        writeContent(4, join(writeContent(1, 'photo'), writeContent(2, writeContent(3, bad.toString('base64'))))),
      ),
  },
  {
    name: 'a value of a name twice, which protobuf joins',
    path: predictMethod,
    message: ({ good, bad }) => predict(entry('a', strings(bad), strings(good))),
  },
  {
    name: 'a name twice',
    path: predictMethod,
    message: ({ good, bad }) => predict(entry('a', strings(bad)), entry('a', strings(good))),
  },
  {
    name: 'numbers beside tensor_content',
    path: predictMethod,
    message: ({ goodPixels, badPixels, width, height }) =>
      predict(
        entry(
          'a',
          join(writeNumber(1, 4), sides(1, height, width, 3), writeContent(4, goodPixels), packed(7, badPixels)),
        ),
      ),
  },
  {
    name: 'a text beside tensor_content',
    path: predictMethod,
    message: ({ goodPixels, bad, width, height }) =>
      predict(
        entry(
          'a',
          join(writeNumber(1, 4), sides(1, height, width, 3), writeContent(4, goodPixels), writeContent(8, bad)),
        ),
      ),
  },
  {
    name: 'an image in a group',
    path: strangeMethod,
    message: ({ good, bad }) =>
      join(writeContent(1, good), Buffer.from([(2 << 3) | 3]), writeContent(3, bad), Buffer.from([(2 << 3) | 4])),
  },
  {
    name: 'an image in pieces',
    path: strangeMethod,
    message: ({ good, bad }) =>
      join(
        writeContent(1, good),
        ...Array.from({ length: Math.ceil(bad.length / 20) }, (_, i) =>
          writeContent(2, bad.subarray(i * 20, i * 20 + 20)),
        ),
      ),
  },
];
