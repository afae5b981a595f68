/** Writes the documents that are generated from tables in the code; `--check` fails when one is out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { corruptions } from '../src/corruptions.ts';
import { errorTable } from '../src/errors.ts';
import { statistics } from '../src/statistics.ts';

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function table(head: string[], rows: (string | number)[][]): string {
  const line = (cells: (string | number)[]) => `| ${cells.map((text) => cell(String(text))).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function statisticsPage(): string {
  const groups = [...new Set(statistics.map(({ group }) => group))];
  const sections = groups.map((group) => {
    const rows = statistics
      .filter((statistic) => statistic.group === group)
      .map(({ name, unit, meaning, high, low, scored, logFloor, source }) => [
        `\`${name}\``,
        unit,
        meaning,
        `${high} / ${low}`,
        scored ? (logFloor === undefined ? 'yes' : `ln(x + ${logFloor})`) : 'no',
        source,
      ]);
    return `## ${group}\n\n${table(['name', 'unit', 'meaning', 'a high / low value', 'scored', 'source'], rows)}\n`;
  });
  return `# Statistics\n\nThe ${statistics.length} numbers measured on every image, in the order of \`GET /statistics\`. Generated from \`src/statistics.ts\` by \`npm run docs\`.\n\nA statistic that is scored as ln(x + floor) has heavy tails; the value shown is always x itself.\n\n${sections.join('\n')}`;
}

function errorsPage(): string {
  const rows = errorTable.map(({ code, status, exit }) => [`\`${code}\``, status, exit]);
  return `# Errors\n\nEvery error that Stopline raises on purpose. Match on the code; the message may change between versions. Generated from \`src/errors.ts\` by \`npm run docs\`.\n\n${table(['code', 'HTTP status', 'exit code'], rows)}\n`;
}

function causesPage(): string {
  const rows = corruptions.map(({ name, family, meaning, source }) => [`\`${name}\``, family, meaning, source]);
  return `# Simulated causes\n\nThe ${corruptions.length} causes that \`stopline corrupt\` can put an image through, each with severities 1 (mild) to 5 (severe). Generated from \`src/corruptions.ts\` by \`npm run docs\`.\n\n${table(['cause', 'family', 'meaning', 'source of the parameters'], rows)}\n`;
}

const pages = { 'statistics.md': statisticsPage(), 'errors.md': errorsPage(), 'causes.md': causesPage() };
const check = process.argv.includes('--check');
for (const [name, text] of Object.entries(pages)) {
  const path = fileURLToPath(new URL(`../docs/${name}`, import.meta.url));
  if (!check) writeFileSync(path, text);
  else if (readFileSync(path, 'utf8') !== text) {
    console.error(`docs/${name} is out of date: run npm run docs`);
    process.exitCode = 1;
  }
}
