import type { Sight, Uncheckable } from './report.ts';
import { type SavedStanding, type Standing, StandingWatch } from './standing.ts';
import { type SavedView, ViewWatch } from './view.ts';

/** What is known of the small pictures of one source, to be kept: about 36 kB as JSON. */
export interface SavedSight {
  standing: SavedStanding;
  view: SavedView;
  found?: Standing;
  sight?: Sight;
}

/** Watches the small pictures of one source: whether they stand still, and whether the camera looks where it did. */
export class SightWatch {
  readonly #freezeAfter: number;
  /** Made with the first small picture: they are half of the memory of a source, and many send none. */
  #watches: { standing: StandingWatch; view: ViewWatch } | undefined;
  #found: Standing | undefined;
  #sight: Sight | undefined;

  /** @param saved what `save` gave */
  constructor(freezeAfter: number, saved?: SavedSight) {
    this.#freezeAfter = freezeAfter;
    if (saved) this.#watches = this.#open(saved);
    this.#found = saved?.found;
    this.#sight = saved?.sight;
  }

  #open(saved?: SavedSight) {
    return { standing: new StandingWatch(this.#freezeAfter, saved?.standing), view: new ViewWatch(saved?.view) };
  }

  /** All that is known; undefined where nothing was asked yet. */
  save(): SavedSight | undefined {
    if (!this.#watches) return undefined;
    const [found, sight] = [this.#found, this.#sight];
    return {
      standing: this.#watches.standing.save(),
      view: this.#watches.view.save(),
      ...(found && { found }),
      ...(sight && { sight }),
    };
  }

  /** Gives back its memory at once; it must not be used any more. */
  release(): void {
    this.#watches?.standing.release();
    this.#watches?.view.release();
  }

  /** What stands still now. */
  get standing(): Standing | undefined {
    return this.#found;
  }

  /** What is wrong now, if anything is. */
  get sight(): Sight | undefined {
    return this.#sight;
  }

  /** Whether the picture is too dark to see what is in it. */
  get isDark(): boolean {
    return this.#watches?.standing.isDark ?? false;
  }

  /** What cannot be told now, and why; all can before a small picture has come, because nothing is asked. */
  get uncheckable(): Uncheckable[] {
    if (!this.#watches) return [];
    const asked = { standsStill: this.#watches.standing.blind, view: this.#watches.view.blind };
    return Object.entries(asked).flatMap(([question, why]) =>
      why === undefined ? [] : [{ question, why } as Uncheckable],
    );
  }

  /** Takes the image before once more: between two ticks of a clock a frozen picture is the same to the byte. */
  repeat(): void {
    this.#watches?.standing.repeat();
  }

  /** @param sketch see `drawSketch` */
  observe(sketch: Uint8Array): void {
    this.#watches ??= this.#open();
    const standing = this.#watches.standing.observe(sketch);
    this.#found = standing;
    // A picture that stands still says nothing of where the camera looks.
    const isStill = standing?.kind === 'frozen' || standing?.kind === 'loop';
    const view = isStill ? undefined : this.#watches.view.observe(sketch);
    this.#sight = standing ? { kind: standing.kind, by: standing.share, text: describeStanding(standing) } : view;
  }
}

function describeStanding({ kind, images, pictures, share }: Standing): string {
  if (kind === 'part')
    return `${Math.round(100 * share)} % of the picture stand still, for ${images} images, while the rest moves`;
  if (kind === 'loop')
    return `the last ${pictures} pictures come again and again, for ${images} images, though their bytes differ`;
  return `the picture stands still, for ${images} images, though their bytes differ, as under noise or a clock`;
}
