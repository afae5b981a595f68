import { corrupt, corruptions, findFamily } from '../../src/image/corruptions/corruptions.ts';
import { decode } from '../../src/image/decode.ts';
import { encodeLike } from '../../src/image/encode.ts';
import { readImage } from '../../src/image/file.ts';
import { defaultLimits } from '../../src/image/frame.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import { findSeenFamilies } from '../../src/profile/likelycause.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { listImages } from '../../src/run/inputs/folder.ts';
import { table } from './tables.ts';

/** Images of which it is known what happened to them. */
export interface Shift {
  name: string;
  /** The families of simulated causes that are right. */
  families: readonly string[];
  /** The simulated causes that are right, where that is known. */
  causes: readonly string[];
  verdicts: Verdict[];
}

/** First causes from this probability on are counted beside the bound that is in force. */
const bounds = [0, 0.5, 0.7, 0.9, 0.99] as const;
/** Every simulated cause is put on so many images, at this severity. */
const simulated = { images: 12, severity: 3 } as const;

/**
 * Judges folders of real images.
 * @param folders `DIR=FAMILY`, `DIR=FAMILY,FAMILY` or `DIR=FAMILY,CAUSE`: what happened to the images of a folder;
 *   `DIR:TEXT` takes the files whose path holds a text
 */
export async function judgeShifts(
  profile: string,
  folders: readonly string[],
  onProgress?: (state: { done: number; failed: number }) => void,
): Promise<Shift[]> {
  const inspector = await createInspector({ profile });
  const shifts: Shift[] = [];
  let done = 0;
  for (const entry of folders) {
    const [place, truth = ''] = entry.split('=');
    const [folder, text = ''] = place.split(':');
    const verdicts: Verdict[] = [];
    for await (const { path } of listImages([folder], { only: ({ path: own }) => own.includes(text) })) {
      verdicts.push(await inspector.inspect(readImage(path, defaultLimits.maxBytes)));
      onProgress?.({ done: ++done, failed: 0 });
    }
    const names = truth.split(',');
    const causes = names.filter((name) => findFamily(name) !== undefined);
    const families = names.filter((name) => !causes.includes(name));
    shifts.push({ name: place.split('/').at(-1) as string, families, causes, verdicts });
  }
  return shifts;
}

/** Puts images of the same camera through every simulated cause. */
export async function judgeSimulated(profile: string, folder: string): Promise<Shift[]> {
  const inspector = await createInspector({ profile });
  const shifts = corruptions.map(({ name, family }) => ({ family, name, verdicts: [] as Verdict[] }));
  let image = 0;
  for await (const { path } of listImages([folder])) {
    if (image++ === simulated.images) break;
    const bytes = readImage(path, defaultLimits.maxBytes);
    for (const { name, verdicts } of shifts) verdicts.push(await spoil(inspector, bytes, name, image));
  }
  return shifts.map(({ name, family, verdicts }) => ({
    name: `simulated ${name}`,
    families: [family],
    causes: [name],
    verdicts,
  }));
}

async function spoil(inspector: Inspector, bytes: Uint8Array, cause: string, seed: number): Promise<Verdict> {
  const { frame, container } = await decode(bytes);
  return inspector.inspect(await encodeLike(await corrupt(frame, cause, simulated.severity, seed), container));
}

/**
 * Tables of what verdicts say, and of how right the simulated causes are: by themselves, and where they are of the family that is seen
 * first. The bound from which a verdict tells one is read from the last.
 */
export function shiftsReport(real: readonly Shift[], simulations: readonly Shift[]): string {
  const said = [
    ...real.map((shift) => describeSaid(shift.name, shift.families.join(' or '), [shift])),
    ...(simulations.length > 0 ? [describeSaid('simulated causes', 'each', simulations)] : []),
  ];
  const groups = [
    ...real.map((shift) => ({ name: shift.name, shifts: [shift] })),
    { name: '**all real shifts**', shifts: real },
    ...(simulations.length > 0 ? [{ name: 'simulated causes', shifts: simulations }] : []),
  ];
  const tabulate = (isCounted: (first: FirstCause) => boolean, isRight: (first: FirstCause) => boolean) =>
    table(
      ['images', ...bounds.map((bound) => `from ${bound}`)],
      groups.map(({ name, shifts }) => {
        const firsts = shifts.flatMap(readFirstCauses).filter(isCounted);
        return [name, ...bounds.map((bound) => rightShare(firsts, bound, isRight))];
      }),
    );
  return [
    'What verdicts say. The first thing seen counts images that pass, too; a family is right where it is what happened.',
    table(
      [
        'images',
        'what happened',
        'images',
        'stopped',
        'seen first',
        'another camera',
        'family right',
        'one cause named, family right',
        'unknown',
      ],
      said,
    ),
    `What the simulated causes would say by themselves: how often the family of the first one is right, by its probability, with the lower end of the exact 95 % interval.`,
    tabulate(
      () => true,
      ({ isFamilyRight }) => isFamilyRight,
    ),
    'The same where the first cause is of the family of what is seen first: of a foreign file a verdict tells it only there.',
    tabulate(
      ({ isSeenFirst }) => isSeenFirst,
      ({ isFamilyRight }) => isFamilyRight,
    ),
    'And how often it is that very cause, where that is known of the images: why a verdict says "most like" and not more.',
    tabulate(
      ({ isSeenFirst, isCauseRight }) => isSeenFirst && isCauseRight !== undefined,
      ({ isCauseRight }) => isCauseRight === true,
    ),
  ].join('\n\n');
}

/** A row of what verdicts say of images. */
function describeSaid(name: string, truth: string, shifts: readonly Shift[]): (string | number)[] {
  const judged = shifts.flatMap(({ families, verdicts }) => verdicts.map((verdict) => ({ families, ...verdict })));
  const stopped = judged.filter(({ verdict }) => verdict !== 'pass');
  const isRight = ({ families, cause }: (typeof judged)[number]) => families.includes(cause?.family ?? '');
  const count = (kind: string) => stopped.filter(({ cause }) => cause?.kind === kind).length;
  const told = stopped.filter(({ cause }) => cause?.family !== undefined);
  const named = stopped.filter(({ cause }) => cause?.kind === 'cause');
  return [
    name,
    truth,
    judged.length,
    stopped.length,
    firstSights(judged),
    count('camera'),
    ratio(told.filter(isRight).length, told.length),
    ratio(named.filter(isRight).length, named.length),
    count('unknown'),
  ];
}

/** The likeliest simulated cause of an image that was stopped, and whether that is right. */
interface FirstCause {
  probability: number;
  isFamilyRight: boolean;
  /** Undefined where the very cause is not known. */
  isCauseRight: boolean | undefined;
  /** Whether it is of the family of what is seen first. */
  isSeenFirst: boolean;
}

function readFirstCauses({ families, causes: right, verdicts }: Shift): FirstCause[] {
  return verdicts.flatMap(({ verdict, causes, reasons }): FirstCause[] => {
    const [first] = causes ?? [];
    if (verdict === 'pass' || !first) return [];
    const family = findFamily(first.cause);
    return [
      {
        probability: first.probability,
        isFamilyRight: families.includes(family ?? ''),
        isCauseRight: right.length > 0 ? right.includes(first.cause) : undefined,
        isSeenFirst: family !== undefined && findSeenFamilies(reasons)[0] === family,
      },
    ];
  });
}

function rightShare(firsts: readonly FirstCause[], bound: number, isRight: (first: FirstCause) => boolean): string {
  const sure = firsts.filter(({ probability }) => probability >= bound);
  const right = sure.filter(isRight).length;
  if (sure.length === 0) return '-';
  return `${ratio(right, sure.length)} (${Math.floor(100 * clopperPearson(right, sure.length).low)} %)`;
}

/** The three groups that are said first most often. */
function firstSights(verdicts: readonly Verdict[]): string {
  const counts = new Map<string, number>();
  for (const { reasons, unusual = [] } of verdicts) {
    const [first] = [...reasons, ...unusual];
    if (first) counts.set(first.group, (counts.get(first.group) ?? 0) + 1);
  }
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, 3)
    .map(([group, times]) => `${group} ${times}`)
    .join(', ');
}

function ratio(right: number, all: number): string {
  return all === 0 ? '-' : `${right} of ${all}`;
}
