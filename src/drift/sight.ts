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
  readonly #standing: StandingWatch;
  readonly #view: ViewWatch;
  #found: Standing | undefined;
  #sight: Sight | undefined;
  #isAsked = false;

  /** @param saved what `save` gave */
  constructor(freezeAfter: number, saved?: SavedSight) {
    this.#standing = new StandingWatch(freezeAfter, saved?.standing);
    this.#view = new ViewWatch(saved?.view);
    this.#found = saved?.found;
    this.#sight = saved?.sight;
    this.#isAsked = saved !== undefined;
  }

  /** All that is known; undefined where nothing was asked yet. */
  save(): SavedSight | undefined {
    if (!this.#isAsked) return undefined;
    const [found, sight] = [this.#found, this.#sight];
    return {
      standing: this.#standing.save(),
      view: this.#view.save(),
      ...(found && { found }),
      ...(sight && { sight }),
    };
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
    return this.#standing.isDark;
  }

  /** What cannot be told now, and why; all can before a small picture has come, because nothing is asked. */
  get uncheckable(): Uncheckable[] {
    if (!this.#isAsked) return [];
    const asked = { standsStill: this.#standing.blind, view: this.#view.blind };
    return Object.entries(asked).flatMap(([question, why]) =>
      why === undefined ? [] : [{ question, why } as Uncheckable],
    );
  }

  /** Takes the image before once more: between two ticks of a clock a frozen picture is the same to the byte. */
  repeat(): void {
    this.#standing.repeat();
  }

  /** @param sketch see `drawSketch` */
  observe(sketch: Uint8Array): void {
    this.#isAsked = true;
    const standing = this.#standing.observe(sketch);
    this.#found = standing;
    // A picture that stands still says nothing of where the camera looks.
    const isStill = standing?.kind === 'frozen' || standing?.kind === 'loop';
    const view = isStill ? undefined : this.#view.observe(sketch);
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
