/**
 * The Huffman tables of ITU-T T.81 annex K.3 as they lie in a file, 16 counts and then the symbols: DC of luma and chroma, AC
 * of luma and chroma. Most encoders write them; libjpeg takes them where a file has none.
 */
export const standardHuffman: readonly Uint8Array[] = [
  readHex('00010501010101010100000000000000000102030405060708090a0b'),
  readHex('00030101010101010101010000000000000102030405060708090a0b'),
  readHex(
    '0002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433' +
      '627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a737475' +
      '767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2' +
      'd3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa',
  ),
  readHex(
    '00020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f01562' +
      '72d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768696a7374' +
      '75767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9' +
      'cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa',
  ),
];

function readHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

/** Whether two tables are the same bytes. */
export function isSameTable(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
