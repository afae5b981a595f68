/** Oddities of a file that lose no pixel: shown and counted, never the cause of a refusal. */
export const remarkMeanings = {
  endMissing: 'The JPEG has no end-of-image marker, and all of its blocks are there.',
  trailingBytes: 'Bytes follow the end of the image.',
  extraneousBytes: 'Bytes that belong to nothing lie between the segments of the JPEG or before a restart marker.',
  oddJfifVersion: 'The JFIF version is none that is known.',
  oddAdobeTransform: 'The Adobe segment names a colour transform that is none.',
  oddScanHeader: 'The parameters of a scan are not those of a sequential JPEG.',
  oddRestartOrder: 'Restart markers are not numbered in order, and no block is lost.',
  usualTables: 'The JPEG has no Huffman tables, as frames of motion JPEG; the usual ones apply.',
  scansMissing: 'The scans of a progressive JPEG end before all of its detail is sent.',
  otherWrapping: 'Metadata, markers or tables that the reference did not have; none reaches the pixels.',
} as const;

export type RemarkKind = keyof typeof remarkMeanings;

/** One oddity, in words. */
export interface Remark {
  kind: RemarkKind;
  text: string;
}

/** Collects remarks, each kind once. */
export function createRemarks(first: readonly Remark[] = []) {
  const found = new Map<RemarkKind, Remark>(first.map((remark) => [remark.kind, remark]));
  return {
    add(kind: RemarkKind, text: string): void {
      if (!found.has(kind)) found.set(kind, { kind, text });
    },
    list: (): Remark[] => [...found.values()],
  };
}

/** What there is to say about bytes behind the end of an image. */
export function noteTrailing(count: number): Remark[] {
  return count > 0 ? [{ kind: 'trailingBytes', text: `${count} bytes follow its end` }] : [];
}
