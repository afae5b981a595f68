import { StoplineError } from '../errors.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import type { Limits } from '../image/frame.ts';
import type { Mask } from '../image/mask.ts';
import type { Rates } from '../profile/description.ts';
import type { ThresholdKind } from '../profile/maths/pvalues.ts';
import type { Items } from '../run/inputs/item.ts';
import type { Measurements } from '../run/measurements.ts';
import type { GroupedBy } from './groups.ts';
import type { LeaveOut } from './leaveout.ts';

/** What to fit, and how; only `paths` is needed. */
export interface FitOptions {
  /** Files and folders (recursive). */
  paths: string[];
  /** Images from elsewhere, as `openItems` lists them; the paths then only shorten their names. */
  items?: Items;
  /** Which of the images under the paths are taken; default: all. */
  only?: ((image: { path: string; folder: string }) => boolean) | undefined;
  /** Whether symbolic links under the paths are followed, as `LinkFollower` says; default true. */
  follow?: boolean | undefined;
  /** Shown in every verdict; default 'reference'. */
  name?: string | undefined;
  /** Decides which groups are left out together, and which images are simulated; default 1. */
  seed?: number | undefined;
  /** 'folder' (the default), 'none', or a regular expression whose first group (or whole match) names the group of a path. */
  groupBy?: string | undefined;
  /** Worker threads; default: number of cores. The Profile does not depend on it. */
  threads?: number | undefined;
  /** Rates to promise; default 1 % and 0.1 %. */
  falseAlarmRate?: Rates | undefined;
  /**
   * How p-values are told: by rank, which promises the rates (the default), or by an exponential tail fitted to the farthest
   * tenth of the reference, which expects them, is steadier where images are few and reaches rates below one in so many.
   */
  threshold?: ThresholdKind | undefined;
  /**
   * Images that are no part of the reference: `strangers`, which are those unlike the rest, or the paths of some. The Profile says
   * how many there were, and its promise is about images like those that stayed. Default: none.
   */
  leaveOut?: LeaveOut | undefined;
  /**
   * The images of each recording (folder, or match of `groupBy`) are frames in the natural order of their names: the Profile then
   * knows how long they remember, and drift counts neighbours for what they are. Default false.
   */
  ordered?: boolean | undefined;
  /** Written into the Profile; default: now. */
  createdAt?: Date;
  /**
   * How many reference images are put through the simulated causes, to learn what each looks like here; 0 for none.
   * Default 120. Costs about a fifth of a second an image of 480x360 on two cores.
   */
  simulations?: number | undefined;
  /**
   * How many reference images are seen under every simulated cause at every severity, at least, each judged by a fit that is
   * without it, to report what the Profile can see; 0 for no report. Those that causes are learnt from count: of 120 there
   * are 12 for each, and only what is wanted beyond is simulated. Default 10, and 30 where a classifier is asked.
   */
  power?: number | undefined;
  /**
   * The model whose embeddings say what is in an image: `none`, `default`, or the path of one. Default: the default model
   * where it can be run, else none.
   */
  model?: string | undefined;
  /**
   * The classifier that is to be watched, as of `model`: it is asked for its answers to the images of the power report, so
   * that verdicts say how often an answer to such an image is expected to flip. Default: none.
   */
  classifier?: string | PreparedModel | undefined;
  /** Where the networks are run; `gpu` falls back to the CPU. Default: cpu. */
  device?: 'cpu' | 'gpu';
  /**
   * What of every image counts (`readMask`, `maskAreas`): what lies elsewhere changes no number, in the fit and wherever the Profile
   * judges. Default: everything.
   */
  mask?: Mask | undefined;
  /** Keep the paths of up to 1000 reference images, so that verdicts can name those that are most alike. Default false. */
  keepPaths?: boolean | undefined;
  /**
   * Store a small picture (at most 320 pixels, 20 kB) of one typical reference image in the Profile, on which reports show
   * the causes; false for none. Default true.
   */
  example?: boolean | undefined;
  /** What is refused before it is decoded; default: `defaultLimits`. */
  limits?: Limits | undefined;
  /** Where measurements are kept, so that a fit of the same images need not make them again; it stays open. Default: nowhere. */
  measurements?: Measurements | undefined;
  onProgress?:
    | ((progress: {
        stage: 'measure' | 'simulate' | 'train' | 'power';
        done: number;
        /** Not known where only reading everything would tell. */
        total?: number | undefined;
        failed: number;
      }) => void)
    | undefined;
  signal?: AbortSignal | undefined;
}

/** How many images are looked at again, under causes. A harm map of twenty would vary by which they are. */
export function resolveSecondLook({
  simulations = 120,
  power,
  classifier,
}: Pick<FitOptions, 'simulations' | 'power' | 'classifier'>): { simulations: number; power: number } {
  return { simulations, power: power ?? (classifier === undefined ? 10 : 30) };
}

/**
 * Each of a few images is put through every cause, each of a hundred and more through every other one: more of a cause teach little more.
 * @param simulations images that are put through causes, as asked for
 */
export function takeEvery(simulations: number): 1 | 2 {
  return simulations < 100 ? 1 : 2;
}

/** How many images of a reference show each cause at each of its five severities, at least, when causes have been learnt. */
export function countLooks(simulations: number, images: number): number {
  return Math.floor(Math.min(simulations, images) / (5 * takeEvery(simulations)));
}

export function warnAboutGuesses(what: string, guesses: readonly string[]): string[] {
  if (guesses.length === 0) return [];
  return [
    `What the ${what} is fed with is only assumed: ${guesses.join('; ')}. Confirm it: stopline model inspect <model> --probe IMAGES, or stopline model check <model> --confirm FIELD.`,
  ];
}

export function checkOptions({
  seed,
  asked,
  simulations,
  power,
}: {
  seed: number;
  asked: Rates;
  simulations: number;
  power: number;
}) {
  const expect = (ok: boolean, text: string, value: number) => {
    if (!ok) throw new StoplineError('OPTION_INVALID', `Expected ${text} but received ${value}.`);
  };
  expect(Number.isSafeInteger(seed), 'an integer for seed', seed);
  expect(
    simulations === 0 || (Number.isSafeInteger(simulations) && simulations >= 10 && simulations <= 1000),
    'none or 10 to 1000 images for simulations',
    simulations,
  );
  expect(Number.isSafeInteger(power) && power >= 0 && power <= 1000, '0 to 1000 images for power', power);
  expect(
    asked.warn > 0 && asked.warn < 0.5,
    'a rate above 0 and below 0.5 for the false-alarm rate of warn',
    asked.warn,
  );
  expect(
    asked.block > 0 && asked.block <= asked.warn,
    `a rate above 0 and at most ${asked.warn} for the false-alarm rate of block`,
    asked.block,
  );
}

export function warningsAbout(facts: {
  asked: Rates;
  promised: Rates;
  duplicates: number;
  skipped: number;
  images: number;
  by: GroupedBy;
  threshold?: ThresholdKind | undefined;
}): string[] {
  const { asked, promised, duplicates, skipped, images, by, threshold } = facts;
  const warnings: string[] = [];
  if (threshold === 'tail') {
    const beyond = (['warn', 'block'] as const).filter((level) => asked[level] < 1 / (images + 1));
    warnings.push(
      `The rates are expected by an exponential tail fitted to the farthest tenth of ${images} images: an estimate, not a promise.${
        beyond.length > 0 ? ` What ${beyond.join(' and ')} stands for is rarer than anything among them.` : ''
      }`,
    );
  }
  for (const level of ['warn', 'block'] as const) {
    if (promised[level] > asked[level]) {
      warnings.push(
        `A false-alarm rate of ${asked[level]} for ${level} needs ${Math.ceil(1 / asked[level] - 1)} reference images; ` +
          `${images} can promise ${promised[level].toPrecision(2)}, which is used.`,
      );
    }
  }
  if (duplicates > 0) warnings.push(`${duplicates} images are exact copies of others and were counted once.`);
  if (skipped > 0) warnings.push(`${skipped} images could not be used and were skipped.`);
  if (by === 'image') {
    warnings.push(
      'Left out image by image: if these are frames of recordings, neighbouring frames leak and the promised rate is too low. Group them.',
    );
  }
  return warnings;
}
