/** Bytes of a body that are replaced. */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** A body with some of its bytes replaced; all others stay as they came. */
export function spliceBytes(bytes: Buffer, edits: readonly Edit[]): Buffer {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const { start, end, text } of [...edits].sort((a, b) => a.start - b.start)) {
    pieces.push(bytes.subarray(at, start), Buffer.from(text));
    at = end;
  }
  return Buffer.concat([...pieces, bytes.subarray(at)]);
}
