import type { Pace } from './detectors.ts';
import type { Learning } from './report.ts';
import type { Head, Shared } from './state.ts';
import { countToEstimate } from './track.ts';

/** A stream is taken to remember longer than the reference only where it does so by this factor. */
const slower = 1.5;

export type Dependence = ReturnType<typeof createDependence>;

/** How much an image counts, by what the reference and the stream say. */
export function createDependence({ correlation, detectors, learnFor }: Shared, head: Head) {
  let pace: Pace | undefined;
  const time = () => {
    const [stream] = head.times ?? [1];
    if (!correlation) return stream;
    return stream >= slower * correlation.score ? stream : correlation.score;
  };
  const dependence = {
    pace(): Pace {
      const { score, statistics } = head.pace ?? { score: 1, statistics: 1 };
      pace ??= detectors.pace(score, correlation ? { timesReference: score / correlation.score } : statistics);
      return pace;
    },
    /** Correlation time of the score in images. */
    time,
    from: () => (correlation && time() === correlation.score ? ('reference' as const) : ('stream' as const)),
    known: () => correlation !== undefined || head.times !== undefined,
    why: () =>
      dependence.known()
        ? `fewer than ${learnFor} images, counted as if they were independent, have come`
        : 'how long the stream remembers is not known yet',
    /** How far a source is that learns. */
    learning(): Learning {
      const { images } = head;
      if (!dependence.known()) {
        const more = countToEstimate({ length: head.seriesLength, spacing: head.spacing });
        const text = `how long the stream remembers is not known after ${images} images, at least ${more} more`;
        return { images, needed: learnFor, more, text };
      }
      const independent = Math.floor(images / time());
      const more = Math.max(0, Math.ceil(learnFor * time() - images));
      const text = `${Math.min(independent, learnFor)} of ${learnFor} independent images, about ${more} images more`;
      return { images, independent, needed: learnFor, more, text };
    },
    /** Takes up new correlation times; says whether evidence that was gathered with others is void. */
    refresh() {
      const score = time();
      const statistics = Math.max(...(head.times ?? [1]));
      const before = head.pace;
      const isNew = !before || differs(score, before.score) || (!correlation && differs(statistics, before.statistics));
      if (!isNew) return false;
      head.pace = { score, statistics };
      pace = undefined;
      return before !== null;
    },
  };
  return dependence;
}

/** Estimates waver: they are taken up only when they differ by half. */
function differs(a: number, b: number): boolean {
  return a > slower * b || b > slower * a;
}
