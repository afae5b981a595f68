import { describe, expect, it } from 'vitest';
import {
  readAll,
  readBytes,
  readNumber,
  readText,
  WireNumbers,
  WireReader,
  writeContent,
  writeNumber,
} from '../../../src/gate/bodies/protobuf.ts';

const read = (...bytes: number[]) => new WireReader().read(Buffer.from(bytes));

describe('a message on the wire', () => {
  it('is read as the encoding guide of protobuf has its examples', () => {
    // Test1 {a: 150}, Test2 {b: "testing"}, Test3 {c: {a: 150}}, Test5 {f: [3, 270, 86942]} packed.
    expect(readNumber(read(0x08, 0x96, 0x01), 1)).toBe(150);
    expect(readText(read(0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67), 2)).toBe('testing');
    expect([...readBytes(read(0x1a, 0x03, 0x08, 0x96, 0x01), 3)]).toEqual([0x08, 0x96, 0x01]);
    const packed = read(0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05);
    const numbers = new Float64Array(4);
    expect(new WireNumbers(packed, 6, 'varint').read(numbers)).toBe(3);
    expect([...numbers]).toEqual([3, 270, 86942, 0]);
  });

  it('has negative numbers in ten bytes, and numbers that are not packed beside packed ones', async () => {
    const minusTwo = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    const mixed = read(0x08, ...minusTwo, 0x0a, 0x02, 0x05, 0x06, 0x08, 0x07);
    const numbers = new WireNumbers(mixed, 1, 'varint');
    const values = new Float64Array(4);
    expect(await numbers.count()).toBe(4);
    expect(numbers.read(values)).toBe(4);
    expect([...values]).toEqual([-2, 5, 6, 7]);
  });

  it.each([
    ['a tag that does not end', [0x88]],
    ['a length that does not end', [0x0a, 0x80]],
    ['a content that is cut', [0x0a, 0x05, 0x01]],
    ['a number that does not end', [0x08, 0xff]],
    ['a number of eleven bytes', [0x08, ...Array(11).fill(0x80), 0x01]],
    ['four bytes of which one is missing', [0x0d, 1, 2, 3]],
    ['the field 0', [0x02, 0x00]],
    ['the start of a group', [0x0b]],
    ['a kind that does not exist', [0x0e]],
  ])('with %s is refused', (_, bytes) => {
    expect(() => read(...bytes)).toThrow(expect.objectContaining({ code: 'STOPLINE_ERR_REQUEST_INVALID' }));
  });

  it('has no more fields than a request with images has', () => {
    const many = Buffer.alloc(2 * 50_001, Buffer.from([0x08, 0x01]));
    expect(() => new WireReader().read(many)).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_REQUEST_TOO_LARGE' }),
    );
  });

  it('is written as it is read', () => {
    const message = Buffer.concat([
      writeNumber(1, 2 ** 40),
      writeContent(2, 'Größe'),
      writeContent(2, 'x'.repeat(300)),
    ]);
    const fields = new WireReader().read(message);
    expect(readNumber(fields, 1)).toBe(2 ** 40);
    expect(readAll(fields, 2).map(String)).toEqual(['Größe', 'x'.repeat(300)]);
  });
});
