import { fit } from '../../src/fit/fit.ts';
import { corrupt, type Severity } from '../../src/image/corruptions/corruptions.ts';
import { decode } from '../../src/image/decode.ts';
import { encodeLike } from '../../src/image/encode.ts';
import { readImage } from '../../src/image/file.ts';
import { defaultLimits, type Frame } from '../../src/image/frame.ts';
import { changedShares } from '../../src/image/places.ts';
import { createInspector, type Inspector } from '../../src/profile/inspector.ts';
import { clopperPearson } from '../../src/profile/maths/binomial.ts';
import { listImages } from '../../src/run/inputs/folder.ts';
import { applyFault } from './faults.ts';
import { table } from './tables.ts';

/** What happens to one spot of a picture: simulated causes, which a Profile knows, and faults that it does not. */
const spots = [
  { name: 'lensDrops', isKnown: true },
  { name: 'dirt', isKnown: true },
  { name: 'spatter', isKnown: true },
  { name: 'occlusion', isKnown: true },
  { name: 'wiper', isKnown: false },
  { name: 'leaf', isKnown: false },
  { name: 'smudge', isKnown: false },
] as const;
const severities = [1, 3] as const;
/** Every fault is put on every image in so many places. */
const seeds = [1, 2, 3] as const;
/** Views of which at least this share changed visibly are those that one image is to tell. */
const largeShare = 0.05;

/** One image with a fault in it. */
export interface HiddenView {
  spot: string;
  severity: Severity;
  /** Share of the picture that changed visibly. */
  share: number;
  isStopped: boolean;
  /** Whether the places that look hidden say so by themselves, at one clean image in a hundred. */
  isPlaced: boolean;
}

export interface HiddenFindings {
  clean: { images: number; stopped: number; encodedAgain: number };
  views: HiddenView[];
}

/** Fits a reference as `fit` does, and puts faults of one spot on images of other drives. */
export async function evaluateHidden(
  options: { reference: readonly string[]; current: readonly string[]; model?: string | undefined },
  onProgress?: (done: number) => void,
): Promise<HiddenFindings> {
  const { profile } = await fit({
    ...{ paths: [...options.reference], groupBy: 'folder', power: 0, example: false },
    ...(options.model !== undefined && { model: options.model }),
  });
  const inspector = await createInspector({ profile });
  const found: HiddenFindings = { clean: { images: 0, stopped: 0, encodedAgain: 0 }, views: [] };
  for await (const { path } of listImages([...options.current])) {
    await hideIn(inspector, readImage(path, defaultLimits.maxBytes), found);
    onProgress?.(found.clean.images);
  }
  return found;
}

async function hideIn(inspector: Inspector, bytes: Uint8Array, { clean, views }: HiddenFindings): Promise<void> {
  const { frame, container } = await decode(bytes);
  const judge = async (shown: Frame) => inspector.inspect(await encodeLike(shown, container));
  clean.images++;
  if ((await inspector.inspect(bytes)).verdict !== 'pass') clean.stopped++;
  if ((await judge(frame)).verdict !== 'pass') clean.encodedAgain++;
  for (const { name, isKnown } of spots) {
    for (const severity of severities) {
      for (const seed of seeds) {
        const data = isKnown
          ? (await corrupt(frame, name, severity, seed)).data
          : applyFault(frame, name, severity, seed);
        const spoilt = { ...frame, data };
        const shares = changedShares(frame, spoilt);
        const { verdict, detectors } = await judge(spoilt);
        views.push({
          spot: name,
          severity,
          share: shares.reduce((sum, share) => sum + share, 0) / shares.length,
          isStopped: verdict !== 'pass',
          isPlaced: (detectors.find((detector) => detector.name === 'places')?.pValue ?? 1) <= 0.01,
        });
      }
    }
  }
}

/** The section of docs/watch.md. */
export function hiddenReport({ clean, views }: HiddenFindings): string {
  const { low, high } = clopperPearson(clean.stopped, clean.images);
  const percent = (part: number) => `${(100 * part).toFixed(1)} %`;
  const share = (all: readonly HiddenView[], isFound: (view: HiddenView) => boolean) => {
    const count = all.filter(isFound).length;
    return all.length === 0 ? '-' : `${Math.round((100 * count) / all.length)} % of ${all.length}`;
  };
  const describe = (name: string, all: readonly HiddenView[]) => {
    const large = all.filter((view) => view.share >= largeShare);
    const mean = all.reduce((sum, view) => sum + view.share, 0) / Math.max(1, all.length);
    return [
      name,
      percent(mean),
      share(all, ({ isStopped }) => isStopped),
      share(large, ({ isStopped }) => isStopped),
      share(large, ({ isPlaced }) => isPlaced),
    ];
  };
  const rows = severities.flatMap((severity) => [
    ...spots.map(({ name }) =>
      describe(
        `${name}, ${severity}`,
        views.filter((view) => view.spot === name && view.severity === severity),
      ),
    ),
    describe(
      `**all, severity ${severity}**`,
      views.filter((view) => view.severity === severity),
    ),
  ]);
  return [
    `One image each, at one false alarm in a hundred, on ${clean.images} frames of drives that were not used to fit, each fault in ${seeds.length} places. Of the frames as they are ${clean.stopped} are stopped (95 % interval ${percent(low)} to ${percent(high)}), compressed again ${clean.encodedAgain}. A pixel is hidden where it changed visibly; \`wiper\`, \`leaf\` and \`smudge\` are known to no Profile.`,
    table(['fault, severity', 'hidden', 'stopped', 'where 5 % and more is hidden', 'told by place there'], rows),
  ].join('\n\n');
}
