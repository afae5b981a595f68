import { StoplineError } from '../../errors.ts';
import type { Verdict } from '../../profile/verdict.ts';
import { check, Type } from '../../schema.ts';

/** One image that is kept, without its verdict. */
export interface QuarantineItem {
  /** sha256 of the encoded image, or of its pixels where it came as pixels. */
  id: string;
  /** When it was judged, in milliseconds since 1970; no two of one service are equal. */
  at: number;
  source: string;
  requestId: string;
  verdict: 'warn' | 'block';
  pValue: number;
  /** The strongest reason in words. */
  reason?: string;
  format: 'jpeg' | 'png' | 'webp';
  bytes: number;
}

/** What is written beside an image. */
export interface Kept extends Omit<QuarantineItem, 'verdict' | 'pValue' | 'reason'> {
  verdict: Verdict;
}

/** Where a quarantine is kept: `<id>.<format>` is an image, `<id>.json` its `Kept`, and what lacks one of the two is none. */
export interface ItemStore {
  /** Sees to it that it can be used at all. @throws {StoplineError} what must keep a service from starting */
  open(): Promise<void>;
  /** All that it holds, in any order; what is known already is not read again. What others left half goes. */
  list(known: ReadonlyMap<string, QuarantineItem>): Promise<QuarantineItem[]>;
  /** Whoever sees the item afterwards sees all of it. */
  save(kept: Kept, image: Uint8Array): Promise<void>;
  /** @throws {StoplineError} ITEM_UNKNOWN where it has gone */
  verdict(item: QuarantineItem): Promise<Verdict>;
  /** @throws {StoplineError} ITEM_UNKNOWN where it has gone */
  image(item: QuarantineItem): Promise<Uint8Array>;
  /** One that has gone already is no error. */
  remove(item: QuarantineItem): Promise<void>;
  /** Lets others have the place. */
  close?(): Promise<void>;
}

const keptSchema = Type.Object({
  id: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  at: Type.Integer(),
  source: Type.String(),
  requestId: Type.String(),
  format: Type.Enum(['jpeg', 'png', 'webp']),
  bytes: Type.Integer({ minimum: 0 }),
  verdict: Type.Object({
    verdict: Type.Enum(['warn', 'block']),
    pValue: Type.Number(),
    reasons: Type.Array(Type.Object({ text: Type.String() })),
  }),
});

/** Undefined where it is damaged or about something else. */
function parseKept(json: Uint8Array, id: string): Kept | undefined {
  try {
    const kept: unknown = JSON.parse(Buffer.from(json).toString());
    return check(keptSchema, kept) && kept.id === id ? (kept as unknown as Kept) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What a store holds of an item.
 * @param readJson reads its `<id>.json`; ITEM_UNKNOWN where there is none, other errors where it cannot be told
 */
export async function readKept(id: string, readJson: () => Promise<Uint8Array>): Promise<Kept> {
  const kept = parseKept(await readJson(), id);
  if (!kept) throw unknownItem(id);
  return kept;
}

/** The same for a list: undefined where it has gone or is damaged. */
export async function listedItem(id: string, readJson: () => Promise<Uint8Array>): Promise<QuarantineItem | undefined> {
  try {
    return makeItem(await readKept(id, readJson));
  } catch (error) {
    if (error instanceof StoplineError && error.code === 'STOPLINE_ERR_ITEM_UNKNOWN') return undefined;
    throw error;
  }
}

export function makeItem({ verdict, ...kept }: Kept): QuarantineItem {
  const [reason] = verdict.reasons;
  return {
    ...kept,
    verdict: verdict.verdict as QuarantineItem['verdict'],
    pValue: verdict.pValue,
    ...(reason && { reason: reason.text }),
  };
}

const name = /^([0-9a-f]{64})\.(json|jpeg|png|webp)$/;

/** The parts of the names that a store holds, by id; other names are not ours. */
export function groupParts(names: Iterable<string>): Map<string, Set<string>> {
  const parts = new Map<string, Set<string>>();
  for (const [, id, extension] of [...names].map((text) => name.exec(text) ?? [])) {
    if (id) parts.set(id, (parts.get(id) ?? new Set()).add(extension));
  }
  return parts;
}

export function unknownItem(id: string): StoplineError {
  return new StoplineError('ITEM_UNKNOWN', `Expected an image of the quarantine but received ${id.slice(0, 64)}.`);
}
