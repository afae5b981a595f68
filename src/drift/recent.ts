import type { Verdict } from '../profile/verdict.ts';

/** `blocked`: half of the latest images were blocked; `warned`: half of them were warned of or blocked. */
export type RecentLevel = 'calm' | 'warned' | 'blocked';

/** How the latest images of a source were judged: what can be said at once, beside what the evidence proves later. */
export interface RecentVerdicts {
  /** The latest images that are counted, at most 25; the same picture again is not. */
  images: number;
  warn: number;
  block: number;
  level: RecentLevel;
  /** The cause that is likelier than all others together. */
  cause?: string;
}

const keptVerdicts = 25;
/** Fewer verdicts than this say nothing. */
const leastVerdicts = 5;
/** A level begins at this share of the verdicts, and ends below the second. */
const beginsFrom = 0.5;
const endsBelow = 0.25;
/** From this share of all causes on, one of them is named. */
const likelyFrom = 0.5;

/** What a monitor remembers of the latest verdicts. */
export interface RecentMemory {
  /** One letter for each verdict, oldest first: p, w or b. */
  verdicts: string;
  level: RecentLevel;
}

/** Takes one verdict; the level wavers less than the counts. */
export function takeVerdict(memory: RecentMemory, verdict: Verdict['verdict']): void {
  memory.verdicts = (memory.verdicts + verdict[0]).slice(-keptVerdicts);
  const images = memory.verdicts.length;
  const { warn, block } = countVerdicts(memory);
  const isAtLevel = (count: number, was: boolean) => count >= (was ? endsBelow : beginsFrom) * images;
  if (images < leastVerdicts) memory.level = 'calm';
  else if (isAtLevel(block, memory.level === 'blocked')) memory.level = 'blocked';
  else if (isAtLevel(warn + block, memory.level !== 'calm')) memory.level = 'warned';
  else memory.level = 'calm';
}

function countVerdicts({ verdicts }: RecentMemory) {
  const count = (letter: string) => verdicts.split(letter).length - 1;
  return { warn: count('w'), block: count('b') };
}

/** @param causes how much each cause weighs among the images that did not pass */
export function summarizeRecent(memory: RecentMemory, causes: Record<string, number>): RecentVerdicts {
  const total = Object.values(causes).reduce((sum, weight) => sum + weight, 0);
  const [cause] = Object.keys(causes).filter((name) => causes[name] >= likelyFrom * total);
  return {
    images: memory.verdicts.length,
    ...countVerdicts(memory),
    level: memory.level,
    ...(memory.level !== 'calm' && cause !== undefined && { cause }),
  };
}

/** Such as "25 of the last 25 images blocked, likely fog"; undefined where there is nothing to say. */
export function describeRecent({ images, warn, block, level, cause }: RecentVerdicts): string | undefined {
  if (level === 'calm') return undefined;
  const what = level === 'blocked' ? `${block} of the last ${images} images blocked` : '';
  const warned = what || `${warn + block} of the last ${images} images warned of or blocked`;
  return cause === undefined || cause === 'unknown' ? warned : `${warned}, likely ${cause}`;
}
