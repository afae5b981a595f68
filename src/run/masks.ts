import { createHash } from 'node:crypto';
import { boundMasks, type Mask, type SourceMask } from '../image/mask.ts';
import { readMask } from '../image/readmask.ts';
import type { MaskSetting } from '../settings.ts';
import type { Columns } from './rows/row.ts';
import { matchSources, type SourceMatch } from './sourcepattern.ts';

/** What counts nowhere in the images of which sources; without `sources`, of all. */
export interface MaskEntry {
  sources?: string[];
  mask: Mask;
}

/** Which parts of the images of which source count nowhere, beside what the Profile masks. */
export class Masks {
  readonly entries: readonly MaskEntry[];
  readonly #rules: readonly { sources: SourceMatch | undefined; one: SourceMask }[];
  /** By source: most of them send many images. */
  readonly #known = new Map<string, SourceMask | undefined>();

  /** @throws {StoplineError} OPTION_INVALID where all of them together cost too much */
  constructor(entries: readonly MaskEntry[]) {
    boundMasks(entries.map(({ mask }) => mask));
    this.entries = entries;
    this.#rules = entries.map(({ sources, mask }) => ({
      sources: matchSources(sources),
      one: { key: digest(mask), masks: [mask] },
    }));
  }

  /** @throws {StoplineError} as `readMask` */
  static async open(settings: readonly MaskSetting[] = []): Promise<Masks> {
    const read = async ({ sources, mask }: MaskSetting) => ({
      ...(sources && { sources }),
      mask: await readMask(mask),
    });
    return new Masks(await Promise.all(settings.map(read)));
  }

  /** A name of what is hidden where; undefined where nothing is. */
  get key(): string | undefined {
    return this.entries.length === 0 ? undefined : digest(this.entries);
  }

  /**
   * All that is hidden of a source; undefined where nothing is.
   * @param source absent for an image that is of none: then what counts for all sources
   */
  find(source = ''): SourceMask | undefined {
    if (this.#rules.length === 0) return undefined;
    if (this.#known.has(source)) return this.#known.get(source);
    const found = joinMasks(this.#rules.flatMap(({ sources, one }) => (!sources || sources.test(source) ? one : [])));
    // Whoever may post images may make names up.
    if (this.#known.size >= maxKnown) this.#known.clear();
    this.#known.set(source, found);
    return found;
  }
}

const maxKnown = 1000;

/** Whose image it is, as far as a column of its manifest, message or row called `source` says so. */
export function readSource({ columns }: { columns?: Columns | undefined }): string | undefined {
  const source = columns?.source;
  return typeof source === 'string' ? source : undefined;
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** Several as one; undefined for none. */
export function joinMasks(all: readonly SourceMask[]): SourceMask | undefined {
  if (all.length < 2) return all[0];
  return { key: all.map(({ key }) => key).join(' '), masks: all.flatMap(({ masks }) => masks) };
}
