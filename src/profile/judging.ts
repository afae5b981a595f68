import type { Core } from '../core/core.ts';
import { readingRule, wholePixels } from '../core/reading.ts';
import { StoplineError } from '../errors.ts';
import { findOldFingerprint } from '../image/container/oldfingerprint.ts';
import { decodeRule, shrinkFactor } from '../image/decoderule.ts';
import type { Frame } from '../image/frame.ts';
import { readHistory } from '../image/jpeghistory.ts';
import type { MeasuredImage } from '../image/measured.ts';
import { statistics } from '../image/statistics/statistics.ts';
import { parseRule, type Rule } from './blockrule.ts';
import type { Profile } from './description.ts';
import { createScorer } from './score.ts';
import { type DecideBy, decideVerdict, type Verdict } from './verdict.ts';

/** How verdicts are decided: the options that every judge has, in whatever runtime. */
export interface JudgingOptions {
  /**
   * Which question the verdict answers: was the image taken as the reference was (`capture`), does it show what that
   * shows (`content`), or both (`combined`, the default). The other answers stay in `detectors`.
   */
  decideBy?: DecideBy | undefined;
  /**
   * When to block, in place of the promised rate: comparisons of `expectedFlipRate`, `pValue` and `score` with numbers,
   * joined by `and` and `or`, such as `expectedFlipRate > 0.1`; see `parseRule`. Warnings stay as they are.
   */
  blockWhen?: string | undefined;
  /**
   * Properties of the file that count for nothing, such as `size` and `encoder`. The promised rates hold: a clean image scores at
   * most what it would have scored.
   */
  ignore?: readonly string[] | undefined;
}

/** A Profile that is ready to judge what was measured. */
export interface Judging {
  /** Without what is ignored. */
  profile: Profile;
  /** Things that make verdicts less certain than promised. */
  warnings: string[];
  /** @param bytes the encoded image, where the frame came out of one */
  judge(core: Core, image: MeasuredImage, frame: Frame, bytes?: Uint8Array): Verdict;
}

const oldProfileWarning =
  'The profile was fitted by a version for which metadata and Huffman tables counted as settings of the encoder: unusual ones may still make an image strange. Fit it again: stopline fit <folder> --out FILE';

const otherReadingWarning =
  'The profile was fitted by a version that read other rows of images as large as these: their statistics differ a little, and false alarms may be more than promised. Fit it again: stopline fit <folder> --out FILE';

/** Whether the images of a Profile are so large that they are read in parts, and were so by another rule. */
function wasReadOtherwise({ decode, categories }: Profile): boolean {
  if (decode.reading === readingRule) return false;
  return Object.keys(categories.size ?? {}).some((size) => {
    const [width, height] = size.split('x').map(Number);
    return (width * height) / shrinkFactor({ width, height }) ** 2 > wholePixels;
  });
}

/**
 * @throws {StoplineError} PROFILE_RULE, PROFILE_VERSION; OPTION_INVALID when the Profile lacks what `decideBy`, `blockWhen` or `ignore`
 * names, or that is no rule
 */
export function prepareJudging(loaded: Profile, options: JudgingOptions): Judging {
  const { decideBy = 'combined', blockWhen } = options;
  const profile = ignoreProperties(loaded, options.ignore ?? []);
  const rule = checkOptions(profile, decideBy, blockWhen);
  const scorer = createScorer(
    profile,
    statistics.map(({ name }) => name),
  );
  const { fingerprint: known } = profile.categories;
  return {
    profile,
    warnings: [...(known ? [oldProfileWarning] : []), ...(wasReadOtherwise(profile) ? [otherReadingWarning] : [])],
    judge: (core, image, frame, bytes) =>
      decideVerdict(profile, scorer, image, {
        decidedBy: decideBy,
        rule,
        ...(known && bytes && { properties: { fingerprint: findOldFingerprint(bytes, known) } }),
        // A frame of a video that was shrunk has lost its grid; of a file the container tells.
        history: () =>
          image.codec === undefined || image.width === frame.width
            ? readHistory(core, frame, image.container)
            : undefined,
      }),
  };
}

function checkOptions(profile: Profile, decideBy: DecideBy, blockWhen: string | undefined): Rule | undefined {
  if (profile.decode.rule !== decodeRule) {
    throw new StoplineError(
      'PROFILE_RULE',
      `Expected a profile fitted under the decoding rule "${decodeRule}" but received one fitted under "${profile.decode.rule}". Fit it again: stopline fit <folder> --out FILE`,
    );
  }
  if (!profile.detectors.some(({ name }) => name === decideBy)) {
    const names = profile.detectors.map(({ name }) => name).join(', ');
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected decideBy to name a detector of the profile (${names}) but received "${decideBy}". The detectors capture and content need a profile fitted with causes, as stopline fit does unless it is told --simulations 0`,
    );
  }
  const rule = blockWhen === undefined ? undefined : parseRule(blockWhen);
  if (rule?.numbers.has('expectedFlipRate') && !profile.harm) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected a profile with a harm map for the rule "${rule.text}" but "${profile.name}" has none. Fit it with the classifier: stopline fit <folder> --classifier model.onnx --out FILE`,
    );
  }
  return rule;
}

/** What older Profiles call a property, and newer ones. */
const aliases: Readonly<Record<string, string>> = { fingerprint: 'encoder', encoder: 'fingerprint' };

/** A Profile that has never looked at some properties. Its checksum stays that of the file. */
function ignoreProperties(profile: Profile, names: readonly string[]): Profile {
  if (names.length === 0) return profile;
  const known = Object.keys(profile.categories);
  const ignored = new Set(names.map((name) => (known.includes(name) ? name : (aliases[name] ?? name))));
  const unknown = [...ignored].find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected ignore to name properties that the profile looks at (${known.join(', ')}) but received "${unknown}".`,
    );
  }
  const categories = Object.fromEntries(Object.entries(profile.categories).filter(([name]) => !ignored.has(name)));
  return { ...profile, categories };
}
