/** The figures of the README, taken from the page that the evaluation writes. */
import { table } from './markdown.ts';

const begin = '<!-- from docs/detection.md by npm run docs -->\n';
const end = '<!-- end -->';

/** Sections of docs/detection.md whose figures the README shows, and what they are to a reader. */
const shown = [
  { section: 'camvid_0016E5_day and camvid_Seq05VD_day', name: 'one camera, 243 frames of two drives' },
  { section: 'generic_photos', name: 'unrelated photographs, 344 images' },
];

/** @throws {Error} A section or a row is not there, or says something of another number of images. */
export function fillReadme(readme: string, detection: string): string {
  const counts = new Set<string>();
  const rows = shown.map(({ section, name }) => {
    const [, text] = new RegExp(`^## ${section}\n(.*?)(?=^## |$(?![^]))`, 'ms').exec(detection) ?? [];
    // With its commit where the evaluation wrote one: figures of an earlier version have a date alone.
    const [, made] = /^Made on (.*?)\.?$/m.exec(text ?? '') ?? [];
    const [, images] = /^(\d+) reference images/m.exec(text ?? '') ?? [];
    // What the verdict of a fitted Profile stops, which is less than what the best threshold for these images would.
    const [, at1] =
      /^\| combined +\|.*\|([^|]*)\|$/m.exec(text?.slice(text.indexOf('### Simulated causes')) ?? '') ?? [];
    const [, causes] = /^Held-out images under each of (\d+) causes/m.exec(text ?? '') ?? [];
    if (
      at1 === undefined ||
      made === undefined ||
      causes === undefined ||
      images === undefined ||
      !name.includes(images)
    ) {
      throw new Error(`Expected figures of "${name}" in docs/detection.md, section ${section}`);
    }
    counts.add(causes);
    return [
      name,
      ...at1
        .replace('%', '')
        .split('/')
        .map((share) => `${share.trim()} %`),
      made,
    ];
  });
  const figures = table(
    [`mean over ${[...counts].join(' or ')} simulated causes`, 'mild (1)', 'clear (3)', 'severe (5)', 'measured'],
    rows,
  );
  const [head, rest] = readme.split(begin);
  return `${head}${begin}${figures}\n${rest.slice(rest.indexOf(end))}`;
}
