import { createHash } from 'node:crypto';
import type { SourceMask } from '../image/mask.ts';
import { readMask } from '../image/readmask.ts';
import type { MaskSetting } from '../settings.ts';
import { matchSources } from './watch/sourcepattern.ts';

/** Which parts of the images of which source count nowhere, beside what the Profile masks. */
export class Masks {
  readonly #entries: readonly { sources: RegExp | undefined; one: SourceMask }[];
  /** By source: most of them send many images. */
  readonly #known = new Map<string, SourceMask | undefined>();

  private constructor(entries: readonly { sources: RegExp | undefined; one: SourceMask }[]) {
    this.#entries = entries;
  }

  /** @throws {StoplineError} as `readMask` */
  static async open(settings: readonly MaskSetting[] = []): Promise<Masks> {
    const entries = settings.map(async ({ sources, mask: given }) => {
      const mask = await readMask(given);
      const key = createHash('sha256').update(JSON.stringify(mask)).digest('hex');
      return { sources: matchSources(sources), one: { key, masks: [mask] } };
    });
    return new Masks(await Promise.all(entries));
  }

  /** All that is hidden of a source; undefined where nothing is. */
  find(source: string): SourceMask | undefined {
    if (this.#entries.length === 0) return undefined;
    if (this.#known.has(source)) return this.#known.get(source);
    const found = joinMasks(this.#entries.flatMap(({ sources, one }) => (!sources || sources.test(source) ? one : [])));
    // Whoever may post images may make names up.
    if (this.#known.size >= maxKnown) this.#known.clear();
    this.#known.set(source, found);
    return found;
  }
}

const maxKnown = 1000;

/** Several as one; undefined for none. */
export function joinMasks(all: readonly SourceMask[]): SourceMask | undefined {
  if (all.length < 2) return all[0];
  return { key: all.map(({ key }) => key).join(' '), masks: all.flatMap(({ masks }) => masks) };
}
