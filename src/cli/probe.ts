import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { parse } from 'csv-parse/sync';
import { loadCore } from '../core/index.ts';
import { StoplineError } from '../errors.ts';
import { decode } from '../image/decode.ts';
import type { PreparedModel } from '../image/embedding/open.ts';
import { type Range, rangeWords } from '../image/embedding/pixels.ts';
import { type ProbedImage, type ProbeResult, probePixels } from '../image/embedding/probe.ts';
import { readImage } from '../image/file.ts';
import { defaultLimits } from '../image/frame.ts';
import { type ListedImage, listImages } from '../run/inputs/folder.ts';
import { startProgress } from './progress.ts';
import { note, printable, styled, table } from './terminal.ts';

/** Images that a network is probed with, spread over those that were named; fewer than the least say nothing. */
const probed = { most: 48, least: 8 } as const;

/**
 * Asks a network about images fed in every way that is possible.
 * @param labelsFile lines of `file,class`: the name or the end of the path of an image, and the position of its class
 * @throws {StoplineError} INPUT_*, OPTION_INVALID, MANIFEST_INVALID, MODEL_*
 */
export async function probeModel(
  model: PreparedModel,
  paths: readonly string[],
  { labelsFile, ranges }: { labelsFile?: string | undefined; ranges: readonly Range[] },
): Promise<ProbeResult> {
  const images = await readImages(paths, labelsFile);
  const progress = startProgress('probe', 'ways');
  try {
    return await probePixels(model, images, {
      ...{ core: loadCore(), ranges },
      onProgress: (done, total) => progress.update({ done, total, failed: 0 }),
    });
  } finally {
    progress.stop();
  }
}

async function readImages(paths: readonly string[], labelsFile: string | undefined): Promise<ProbedImage[]> {
  const labels = labelsFile === undefined ? undefined : await readLabels(labelsFile);
  const findLabel = (path: string) => labels?.get(path) ?? labels?.get(basename(path)) ?? findEnd(labels, path);
  const listed: ListedImage[] = [];
  for await (const image of listImages(paths)) if (!image.error) listed.push(image);
  const known = labels ? listed.filter(({ path }) => findLabel(path) !== undefined) : listed;
  const step = Math.max(1, known.length / probed.most);
  const images: ProbedImage[] = [];
  for (let i = 0; i < Math.min(known.length, probed.most); i++) {
    const { path } = known[Math.floor(i * step)];
    try {
      const { frame } = await decode(readImage(path, defaultLimits.maxBytes));
      images.push({ frame, label: findLabel(path) });
    } catch (error) {
      if (!(error instanceof StoplineError)) throw error;
      note(`stopline: warning: ${printable(path)} is left out: ${printable(error.message)}`);
    }
  }
  if (images.length < probed.least)
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected at least ${probed.least} images${labels ? ' that have labels' : ''} for --probe but received ${images.length}.`,
    );
  return images;
}

function findEnd(labels: ReadonlyMap<string, number> | undefined, path: string): number | undefined {
  for (const [name, label] of labels ?? []) if (path.endsWith(`/${name}`)) return label;
  return undefined;
}

async function readLabels(file: string): Promise<Map<string, number>> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw new StoplineError('INPUT_UNREADABLE', `Expected labels in "${file}" but it cannot be read.`, { cause });
  });
  let rows: string[][];
  try {
    rows = parse(text, { relax_column_count: true, skip_empty_lines: true, trim: true });
  } catch (cause) {
    throw new StoplineError('MANIFEST_INVALID', `Expected CSV in "${file}" but ${(cause as Error).message}.`, {
      cause,
    });
  }
  const labels = new Map<string, number>();
  for (const [i, [name = '', label = '']] of rows.entries()) {
    if (/^\d+$/.test(label)) labels.set(name, Number(label));
    // The first line may be a heading.
    else if (i > 0)
      throw new StoplineError(
        'MANIFEST_INVALID',
        `Expected lines of file,class with the position of a class from 0 in "${file}" but line ${i + 1} has ${JSON.stringify(label.slice(0, 60))}.`,
      );
  }
  return labels;
}

/** What a probe found, and what it recommends. */
export function describeProbe({ images, rules, isClear }: ProbeResult): string {
  const share = (value: number) => value.toFixed(2);
  const hasLabels = rules.some(({ correct }) => correct !== undefined);
  const rows = rules.map(({ range, colour, confidence, variety, agreement, correct }) => [
    `${colour}, ${rangeWords[range]}`,
    ...[share(confidence), share(variety), share(agreement)],
    ...(hasLabels ? [correct === undefined ? '-' : share(correct)] : []),
  ]);
  const [best] = rules;
  const unclear = [...(isClear.range ? [] : ['the range']), ...(isClear.colour ? [] : ['the order of colours'])];
  const verdict =
    unclear.length === 0
      ? styled('green', 'and that is clear.')
      : styled('yellow', `but ${unclear.join(' and ')} might be another: it stays assumed.`);
  return [
    styled('bold', `How ${images} images are answered, by how they are fed`),
    table([['fed with', 'confidence', 'variety', 'agreement', ...(hasLabels ? ['correct'] : [])], ...rows]),
    `Recommended: ${best.colour}, ${rangeWords[best.range]}, ${verdict}`,
  ].join('\n');
}
