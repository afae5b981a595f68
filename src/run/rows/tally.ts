import type { RemarkKind } from '../../image/container/remark.ts';
import { type FileFact, FileFacts } from '../../profile/filefacts.ts';
import { describeGroup, type ReasonGroup } from '../../profile/sights.ts';
import type { Verdict } from '../../profile/verdict.ts';
import type { RowCount } from './row.ts';

/** Counts over many images, in memory that does not grow with them. */
export interface Tally {
  readonly images: number;
  readonly failed: number;
  add(row: RowCount): void;
  /** Adds what another one counted. */
  addCounts(counts: TallyCounts): void;
  toJSON(): TallyCounts;
}

export interface TallyCounts {
  images: number;
  failed: number;
  verdicts: Record<Verdict['verdict'], number>;
  /** How often each was the first reason of a verdict other than pass, most frequent first. */
  reasons: { group: ReasonGroup; count: number; text: string }[];
  /** By code, most frequent first, with the first file that had it. */
  errors: { code: string; count: number; example: string }[];
  /** Images with each kind of remark, most frequent first, with the first that had it. Absent where there are none. */
  remarks?: { kind: RemarkKind; count: number; example: string }[];
  /** What images have as files and none of the reference had, most frequent first. Absent where there is nothing. */
  file?: FileFact[];
}

export function createTally(): Tally {
  let images = 0;
  let failed = 0;
  const verdicts: Record<Verdict['verdict'], number> = { pass: 0, warn: 0, block: 0 };
  const reasons = new Map<ReasonGroup, TallyCounts['reasons'][number]>();
  const errors = new Map<string, { code: string; count: number; example: string }>();
  const remarks = new Map<RemarkKind, { kind: RemarkKind; count: number; example: string }>();
  const file = new FileFacts();
  const addRemark = (added: NonNullable<TallyCounts['remarks']>[number]) => {
    const entry = remarks.get(added.kind);
    if (entry) entry.count += added.count;
    else remarks.set(added.kind, { ...added });
  };
  const addError = (added: TallyCounts['errors'][number]) => {
    const entry = errors.get(added.code);
    if (entry) entry.count += added.count;
    else errors.set(added.code, { ...added });
  };
  const addReason = (added: TallyCounts['reasons'][number]) => {
    const entry = reasons.get(added.group);
    if (entry) entry.count += added.count;
    else reasons.set(added.group, { ...added });
  };
  const byCount = (a: { count: number }, b: { count: number }) => b.count - a.count;
  return {
    get images() {
      return images;
    },
    get failed() {
      return failed;
    },
    add(row) {
      images++;
      if ('error' in row) {
        failed++;
        addError({ code: row.error.code, count: 1, example: row.path });
        return;
      }
      verdicts[row.verdict]++;
      file.add(row.file ?? []);
      for (const kind of row.remarks ?? []) addRemark({ kind, count: 1, example: row.path });
      const [first] = row.reasons;
      if (row.verdict === 'pass' || !first) return;
      addReason({ group: first.group, count: 1, text: describeGroup(first.group) });
    },
    addCounts(counts) {
      images += counts.images;
      failed += counts.failed;
      for (const verdict of ['pass', 'warn', 'block'] as const) verdicts[verdict] += counts.verdicts[verdict];
      counts.errors.forEach(addError);
      counts.reasons.forEach(addReason);
      counts.remarks?.forEach(addRemark);
      file.add(counts.file ?? []);
    },
    toJSON() {
      const facts = file.list();
      return {
        images,
        failed,
        verdicts: { ...verdicts },
        reasons: [...reasons.values()].sort(byCount),
        errors: [...errors.values()].sort(byCount),
        ...(remarks.size > 0 && { remarks: [...remarks.values()].sort(byCount) }),
        ...(facts.length > 0 && { file: facts }),
      };
    },
  };
}
