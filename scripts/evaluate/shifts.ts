import { corrupt, corruptions, findFamily } from '../../src/image/corruptions/corruptions.ts';
import { decode } from '../../src/image/decode.ts';
import { encodeLike } from '../../src/image/encode.ts';
import { readImage } from '../../src/image/file.ts';
import { defaultLimits } from '../../src/image/frame.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { listImages } from '../../src/run/inputs/folder.ts';
import { table } from './tables.ts';

/** Images of which it is known what happened to them. */
export interface Shift {
  name: string;
  /** The families of simulated causes that are right. */
  families: readonly string[];
  verdicts: Verdict[];
}

/** First causes from this probability on are counted beside the bound that is in force. */
const bounds = [0.5, 0.7, 0.9, 0.99] as const;
/** Every simulated cause is put on so many images, at this severity. */
const simulated = { images: 12, severity: 3 } as const;

/**
 * Judges folders of real images.
 * @param folders `DIR=FAMILY` or `DIR=FAMILY,FAMILY`: what happened to the images of a folder
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
    const [folder, families = ''] = entry.split('=');
    const verdicts: Verdict[] = [];
    for await (const { path } of listImages([folder])) {
      verdicts.push(await inspector.inspect(readImage(path, defaultLimits.maxBytes)));
      onProgress?.({ done: ++done, failed: 0 });
    }
    shifts.push({ name: folder.split('/').at(-1) as string, families: families.split(','), verdicts });
  }
  return shifts;
}

/** Puts images of the same camera through every simulated cause. */
export async function judgeSimulated(profile: string, folder: string): Promise<Shift[]> {
  const inspector = await createInspector({ profile });
  const byFamily = new Map<string, Verdict[]>();
  let image = 0;
  for await (const { path } of listImages([folder])) {
    if (image++ === simulated.images) break;
    const bytes = readImage(path, defaultLimits.maxBytes);
    for (const { name, family } of corruptions) {
      const verdict = await spoil(inspector, bytes, name, image);
      byFamily.set(family, [...(byFamily.get(family) ?? []), verdict]);
    }
  }
  return [...byFamily].map(([family, verdicts]) => ({ name: `simulated ${family}`, families: [family], verdicts }));
}

async function spoil(inspector: Inspector, bytes: Uint8Array, cause: string, seed: number): Promise<Verdict> {
  const { frame, container } = await decode(bytes);
  return inspector.inspect(await encodeLike(await corrupt(frame, cause, simulated.severity, seed), container));
}

/** Two tables: what verdicts say, and how right the simulated causes would be by themselves. */
export function shiftsReport(real: readonly Shift[], simulations: readonly Shift[]): string {
  const shifts = [...real, ...simulations];
  const said = shifts.map(({ name, families, verdicts }) => {
    const stopped = verdicts.filter(({ verdict }) => verdict !== 'pass');
    const count = (kind: string) => stopped.filter(({ cause }) => cause?.kind === kind).length;
    const told = stopped.filter(({ cause }) => cause?.family !== undefined);
    const right = told.filter(({ cause }) => families.includes(cause?.family as string));
    const named = stopped.filter(({ cause }) => cause?.kind === 'cause');
    const rightNamed = named.filter(({ cause }) => families.includes(cause?.family as string));
    return [
      name,
      families.join(' or '),
      verdicts.length,
      stopped.length,
      firstSights(verdicts),
      count('camera'),
      ratio(right.length, told.length),
      ratio(rightNamed.length, named.length),
      count('unknown'),
    ];
  });
  const alone = shifts.map(({ name, families, verdicts }) => {
    const firsts = verdicts.flatMap(({ verdict, causes }) => (verdict !== 'pass' && causes?.[0] ? [causes[0]] : []));
    const isRight = ({ cause }: { cause: string }) => families.includes(findFamily(cause) ?? '');
    const from = bounds.map((bound) => {
      const sure = firsts.filter(({ probability }) => probability >= bound);
      return ratio(sure.filter(isRight).length, sure.length);
    });
    return [name, ratio(firsts.filter(isRight).length, firsts.length), ...from];
  });
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
    'What the simulated causes would say by themselves: how often the family of the first one is right, by its probability.',
    table(['images', 'first', ...bounds.map((bound) => `from ${bound}`)], alone),
  ].join('\n\n');
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
