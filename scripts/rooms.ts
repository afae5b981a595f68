/** The rooms of `src/`, read from the sources: what the test of their order checks, and what the picture shows. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Room {
  name: string;
  /** What lives there. */
  sentence: string;
}

/** A room imports only from rooms that stand before it. */
export const rooms: Room[] = [
  { name: 'core', sentence: 'The C kernels, and their two builds.' },
  { name: 'image', sentence: 'One image by itself: bytes, pixels, statistics, embedding, simulated causes.' },
  { name: 'profile', sentence: 'What is normal, and one image held against it: score, verdict, reasons.' },
  { name: 'run', sentence: 'Many images at once: inputs, workers, rows, queues.' },
  { name: 'drift', sentence: 'Many images of one source held against a Profile.' },
  { name: 'fit', sentence: 'Reference images become a Profile.' },
  { name: 'gate', sentence: 'What a verdict does to a request: policy and protocols.' },
  { name: 'report', sentence: 'Pages of HTML for people.' },
  { name: 'server', sentence: 'The service: HTTP, watching, storage, dashboard.' },
  { name: 'cli', sentence: 'The commands, and the demo with its rendered camera.' },
];

const source = fileURLToPath(new URL('../src', import.meta.url));
const importPattern = /^(?:import|export)\b[^'";]*?from '(\.[^']+)'|^import '(\.[^']+)'|import\('(\.[^']+)'\)/gm;

/** What each file of `src/` imports from `src/`. Types count, too: who reads a file has to open what it imports. */
export function readImports(): Map<string, string[]> {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => /\.[jt]s$/.test(file));
  return new Map(
    files.map((file) => [
      file,
      [...readFileSync(join(source, file), 'utf8').matchAll(importPattern)].map((match) =>
        posix.join(posix.dirname(file), match[1] ?? match[2] ?? match[3]),
      ),
    ]),
  );
}

/** The rooms that each room imports from, without those that it reaches through another of them. */
export function findArrows(imports: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const names = rooms.map(({ name }) => name);
  const direct = new Map(names.map((name) => [name, new Set<string>()]));
  for (const [file, targets] of imports) {
    const from = file.split('/')[0];
    for (const [to] of targets.map((target) => target.split('/'))) {
      if (to !== from && direct.has(to)) direct.get(from)?.add(to);
    }
  }
  const reaches = (from: string, to: string): boolean =>
    [...(direct.get(from) ?? [])].some((next) => next === to || reaches(next, to));
  return new Map(
    names.map((name) => {
      const targets = [...(direct.get(name) as Set<string>)];
      return [name, targets.filter((to) => !targets.some((other) => other !== to && reaches(other, to)))];
    }),
  );
}

const box = { width: 138, height: 104, gapX: 36, gapY: 22 };
const margin = 20;

interface Place extends Room {
  x: number;
  y: number;
}

/** Columns by the longest way from the first room, rows in the order of the rooms. */
function placeRooms(arrows: ReadonlyMap<string, readonly string[]>): Map<string, Place> {
  const column = new Map<string, number>();
  for (const { name } of rooms) {
    const before = (arrows.get(name) as readonly string[]).map((to) => (column.get(to) as number) + 1);
    column.set(name, Math.max(0, ...before));
  }
  const columns = new Map<number, Room[]>();
  for (const room of rooms) {
    const index = column.get(room.name) as number;
    columns.set(index, [...(columns.get(index) ?? []), room]);
  }
  const most = Math.max(...[...columns.values()].map(({ length }) => length));
  const places = new Map<string, Place>();
  for (const [index, inColumn] of columns) {
    for (const [row, room] of inColumn.entries()) {
      const x = margin + index * (box.width + box.gapX);
      const y = margin + (row + (most - inColumn.length) / 2) * (box.height + box.gapY);
      places.set(room.name, { ...room, x, y });
    }
  }
  return places;
}

function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = `${lines.at(-1)} ${word}`.trim();
    if (line.length <= width) lines[lines.length - 1] = line;
    else lines.push(word);
  }
  return lines;
}

function drawRoom({ name, sentence, x, y }: Place): string {
  const lines = wrap(sentence, 20).map(
    (line, i) => `<text class="says" x="${x + 10}" y="${y + 41 + 14 * i}">${line}</text>`,
  );
  return [
    `<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="6"/>`,
    `<text class="name" x="${x + 10}" y="${y + 23}">${name}</text>`,
    ...lines,
  ].join('\n');
}

function drawArrow(from: Place, to: Place): string {
  const [x1, y1] = [from.x + box.width, from.y + box.height / 2];
  const [x2, y2] = [to.x - 11, to.y + box.height / 2];
  const bend = (x2 - x1) / 2;
  return `<path d="M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}" marker-end="url(#head)"/>`;
}

/** One picture: an arrow goes from a room to a room that uses it, as the data does. */
export function drawRooms(imports = readImports()): string {
  const arrows = findArrows(imports);
  const places = placeRooms(arrows);
  const all = [...places.values()];
  const width = Math.max(...all.map(({ x }) => x)) + box.width + margin;
  const height = Math.max(...all.map(({ y }) => y)) + box.height + margin;
  const paths = [...arrows].flatMap(([name, targets]) =>
    targets.map((target) => drawArrow(places.get(target) as Place, places.get(name) as Place)),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">
<title id="title">The rooms of src/, from the core on the left to the command line on the right. An arrow goes from a room to one that imports it.</title>
<style>
text { font-family: system-ui, sans-serif; fill: #1d2529 }
.name { font-size: 15px; font-weight: 650 }
.says { font-size: 10.5px; fill: #4a555b }
rect { fill: #f4f6f7; stroke: #8b979d }
path { fill: none; stroke: #4a6c8c; stroke-width: 1.6 }
#head path { fill: #4a6c8c; stroke: none }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8Z"/></marker></defs>
<path d="M0 0H${width}V${height}H0Z" style="fill: #fff; stroke: none"/>
${paths.join('\n')}
${all.map(drawRoom).join('\n')}
</svg>
`;
}
