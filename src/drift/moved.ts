import { statistics } from '../image/statistics/statistics.ts';
import {
  findSight,
  legibility,
  looksHazy,
  type ReasonGroup,
  rankSights,
  readLegible,
  readMeaning,
  type SightKind,
  unitAfter,
  writeNumbers,
} from '../profile/sights.ts';

/** Rate of false discoveries among statistics that are said to have moved. */
export const falseDiscoveryRate = 0.01;
/** About half a standard deviation: less is found in any two days of one camera. */
export const defaultMaxDistance = 0.2;

/** A statistic that lies elsewhere than in the reference. */
export interface Movement {
  name: string;
  direction: 'high' | 'low' | 'spread';
  /** How far, in standard deviations of the reference. */
  size: number;
  /** What it mostly is now, where that is known: what nobody sees at such a value leads nothing. */
  value?: number;
}

/** Statistics that have moved and that say the same to a person. */
export interface MovedGroup<Item extends Movement = Movement> {
  group: ReasonGroup;
  /** `darker than the reference` */
  words: string;
  /** The one that a person reads best. */
  lead: Item;
  /** All of them: the lead, then the others, largest first. */
  members: Item[];
}

/** Sizes beyond this make a group no stronger. */
const mostStrength = 8;

/**
 * What has moved as people see it, in the order of reasons: how far the number has moved that a person reads best. Every list of
 * what has moved, of a run or of a source, on a terminal, in a report, on a page or for programs, is in this order.
 */
export function groupMoved<Item extends Movement>(all: readonly Item[]): MovedGroup<Item>[] {
  const groups = new Map<ReasonGroup, Item[]>();
  const put = (group: ReasonGroup, items: readonly Item[]) =>
    groups.set(group, [...(groups.get(group) ?? []), ...items]);
  for (const item of all) put(findSight(readMovement(item).kind).group, [item]);
  for (const [group, items] of groups) {
    // What no number tells that a person reads is texture, as it is in the reasons of an image.
    if (group === 'texture' || items.some(isLegible)) continue;
    groups.delete(group);
    put('texture', items);
  }
  const isHazy = !groups.has('dark') && looksHazy(all.map((item) => ({ ...item, deviations: item.size })));
  const moved = [...groups].map(([group, items]): MovedGroup<Item> & { kind: SightKind } => {
    const bySize = [...items].sort((a, b) => b.size - a.size);
    const [lead] = [...bySize].sort(
      (a, b) => Number(isLegible(b)) - Number(isLegible(a)) || legibility(a.name) - legibility(b.name),
    );
    const members = [lead, ...bySize.filter((item) => item !== lead)];
    const { kind, words } = group === 'texture' ? nameSight('texture') : readMovement(lead);
    const seen = group === 'hazy' && isHazy ? nameSight('hazy') : { kind, words };
    return { group, lead, members, ...seen };
  });
  const ranked = rankSights(moved, ({ group, kind, lead }) => {
    const isRead = group !== 'texture' && isLegible(lead);
    return { kind, strength: isRead ? Math.min(mostStrength, lead.size) : 0 };
  });
  return ranked.map(({ kind: _, ...group }) => group);
}

const isLegible = ({ name, value = Number.POSITIVE_INFINITY }: Movement): boolean =>
  readLegible({ statistic: name, value }) !== undefined;

/** A kind by itself, whatever number leads it. */
function nameSight(kind: SightKind): { kind: SightKind; words: string } {
  return { kind, words: `${findSight(kind).words} the reference` };
}

/** The kind of a movement, and its words. A change of spread is one of content. */
function readMovement({ name, direction }: Pick<Movement, 'name' | 'direction'>): { kind: SightKind; words: string } {
  if (direction === 'spread') return { kind: 'scene', words: 'spread otherwise than in the reference' };
  const meaning = readMeaning(name);
  const kind = meaning[direction];
  return { kind, words: `${meaning.legible?.words?.[direction] ?? findSight(kind).words} the reference` };
}

/** Three quantiles of a number. */
export interface Quantiles {
  p01: number;
  p50: number;
  p99: number;
}

/** `median brightness, median 31 (12 to 60), in the reference 95 (41 to 148)` */
export function describeMedians(moved: { name: string; current: Quantiles; reference: Quantiles }): string {
  const { name, current, reference } = moved;
  const row = statistics.find((statistic) => statistic.name === name);
  const legible = row && readMeaning(name).legible;
  const scale = legible?.isPercent ? 100 : 1;
  const unit = legible?.isPercent ? ' %' : row && !legible ? unitAfter(row) : '';
  const numbers = [current, reference].flatMap(({ p50, p01, p99 }) => [p50, p01, p99]).map((number) => number * scale);
  const texts = writeNumbers(numbers, legible?.digits ?? row?.digits ?? 2, (row?.resolution ?? 0) * scale);
  const label = legible ? `${legible.label}, ` : '';
  return `${label}median ${texts[0]}${unit} (${texts[1]} to ${texts[2]}), in the reference ${texts[3]}${unit} (${texts[4]} to ${texts[5]})`;
}
