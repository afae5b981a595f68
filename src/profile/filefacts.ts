import { type Evidence, propertyLabel, type Reason } from './reasons.ts';

/** Something that the files of a run have and no file of the reference had. */
export interface FileFact {
  /** A property that `ignore` takes: `size`, `encoder`. */
  property: string;
  /** Images that have it. */
  count: number;
  /** The first few values; empty where they tell a reader nothing. */
  values: string[];
}

/** Values that are kept of each property. */
const maxValues = 3;

/** What a verdict finds foreign about a file, whether it passes or not. Rows that an earlier version wrote may have no evidence. */
export function readFileFacts({
  reasons,
  unusual = [],
}: {
  reasons: readonly FileReason[];
  unusual?: readonly FileReason[] | undefined;
}): FileFact[] {
  const evidence = [...reasons, ...unusual].flatMap((reason) =>
    reason.group === 'file' ? (reason.evidence ?? []) : [],
  );
  return evidence.flatMap(({ statistic, value, direction }): FileFact[] => {
    if (direction !== 'new' || typeof value !== 'string') return [];
    // A checksum of encoder tables tells a reader nothing; that it is another one does.
    const isChecksum = statistic === 'encoder' || statistic === 'fingerprint';
    return [{ property: statistic, count: 1, values: isChecksum ? [] : [value] }];
  });
}

type FileReason = Pick<Reason, 'group'> & { evidence?: readonly Pick<Evidence, 'statistic' | 'value' | 'direction'>[] };

/** Collects them over a run, so that what all files share is said once. */
export class FileFacts {
  readonly #facts = new Map<string, FileFact>();

  add(facts: readonly FileFact[]): void {
    for (const { property, count, values } of facts) {
      const known = this.#facts.get(property) ?? { property, count: 0, values: [] };
      known.count += count;
      known.values = [...new Set([...known.values, ...values])].slice(0, maxValues);
      this.#facts.set(property, known);
    }
  }

  /** Most frequent first. */
  list(): FileFact[] {
    return [...this.#facts.values()].map((fact) => ({ ...fact })).sort((a, b) => b.count - a.count);
  }
}

/**
 * Lines for above a run: what its files have that no file of the reference had, and how it is left out of verdicts.
 * @param judged images with a verdict
 */
export function describeFileFacts(facts: readonly FileFact[], judged: number): string[] {
  if (facts.length === 0) return [];
  const lines = facts.map(({ property, count, values }) => {
    const shown = values.length === 0 ? '' : ` (${values.join(', ')}${values.length === maxValues ? ', ...' : ''})`;
    const all = judged === 1 ? 'the only image' : `all ${judged} images`;
    const images = count === judged ? all : `${count} of ${judged} images`;
    return `${propertyLabel(property)} never seen in the reference: ${images}${shown}`;
  });
  return [
    ...lines,
    `if that is meant to be, --ignore ${facts.map(({ property }) => property).join(',')} leaves it out of verdicts`,
  ];
}
