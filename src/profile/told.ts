import { findPlace, rankSights, readLegible, readMeaning, type SightKind } from './sights.ts';

/** What of a reason says where it stands. */
interface Placed {
  kind: SightKind;
  statistic: string;
  value: number | string;
  pValue: number;
}

/** A reason and how strong it is. */
export interface Ranked<Reason extends Placed> {
  reason: Reason;
  strength: number;
  /** Whether hardly more than the reference has: nobody sees it. */
  isSlight?: boolean;
}

/** In widths of the band of the reference, what lies less outside is told as slight. */
export const slightly = 0.04;

/**
 * In the one order of what people see, without what says the contrary of something before it, and without what is slight where
 * anything else is told.
 * @param file `isOther` for a picture of another size from another encoder, `isOtherFile` where a reason tells what is new of the file
 */
export function rankReasons<Reason extends Placed>(
  reasons: readonly Ranked<Reason>[],
  file: { isOther: boolean; isOtherFile: boolean },
): Ranked<Reason>[] {
  const clear = reasons.filter(({ isSlight }) => !isSlight);
  const worth = clear.length > 0 || file.isOtherFile ? clear : reasons;
  const most = Math.max(0, ...worth.map(({ strength }) => strength));
  const ranked = rankSights(worth, ({ reason, strength }) => {
    const isElsewhere = file.isOther && reason.statistic === 'embedding' && reason.pValue <= foreignScene;
    const place = isElsewhere ? findPlace('bright') + 0.5 : findOwnPlace(reason, file.isOther);
    return {
      kind: reason.kind,
      strength: isElsewhere ? most : strength,
      ...(place !== undefined && { place }),
      explainsLittle: isOfShadows(reason),
    };
  });
  return ranked.filter(({ reason }, i) => !ranked.slice(0, i).some((before) => isContrary(before.reason, reason)));
}

/** Where a reason stands that does not stand where its kind does. */
function findOwnPlace({ kind, statistic }: Placed, isOther: boolean): number | undefined {
  // What stands on its head has everything elsewhere.
  if (statistic === 'layout') return -1;
  // An earlier compression that can be read explains lost sharpness and noise; of another camera's file that is no news.
  if (statistic === 'history') return isOther ? findPlace('file') : findPlace('blurred') - 0.5;
  // Blur and noise lift the shadows, too, and explain them better than more light does.
  if (kind === 'bright' && readMeaning(statistic).high === 'hazy') return findPlace('flat');
  return undefined;
}

/** Up to this p-value the picture of another camera shows something else first of all. */
const foreignScene = 0.005;

/** Noise and sharpening reach down into the blacks as well: only less light overall explains what is stronger than itself. */
function isOfShadows(reason: Placed): boolean {
  return reason.kind === 'dark' && readLegible(reason)?.words !== undefined;
}

/** What is not told behind it: it says the contrary, or the kind before explains it. */
const contraries: Readonly<Partial<Record<SightKind, readonly SightKind[]>>> = {
  hazy: ['sharp', 'clear'],
  flat: ['sharp', 'clear'],
  blurred: ['sharp', 'clear'],
  coarse: ['sharp'],
  smooth: ['noisy', 'sharp'],
  noisy: ['smooth', 'sharp'],
  sharp: ['blurred', 'smooth', 'hazy', 'flat'],
  clear: ['hazy', 'flat', 'blurred'],
};

function isContrary(before: Placed, { kind }: Placed): boolean {
  return contraries[before.kind]?.includes(kind) ?? false;
}
