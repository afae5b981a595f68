/** Writes the documents that are generated from tables in the code, and the picture of the rooms; `--check` fails when one is out of date. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { errorTable } from '../src/errors.ts';
import { remarkMeanings } from '../src/image/container/remark.ts';
import { corruptions } from '../src/image/corruptions/corruptions.ts';
import { statistics } from '../src/image/statistics/statistics.ts';
import { settingGroups, settings } from '../src/settings.ts';
import { readArguments } from './arguments.ts';
import { renderCommandsPage } from './docs/commands.ts';
import { drawCalibration, drawKinds, drawPromise } from './docs/conceptpictures.ts';
import type { Concepts } from './docs/concepts.ts';
import { renderLibraryPage } from './docs/library.ts';
import { code, page, table } from './docs/markdown.ts';
import { markStale, takeProbe, takeSightProbe, takeSpeedProbe } from './docs/probe.ts';
import { fillReadme } from './docs/readme.ts';
import { renderServicePages } from './docs/service.ts';
import { type Form, forms } from './faults/forms.ts';
import type { FormResult } from './faults/formsrun.ts';
import { grpcForms } from './faults/grpcforms.ts';
import { drawRooms } from './rooms.ts';

const { values } = readArguments({
  command: 'npm run docs --',
  about: 'Writes the documents that are generated from tables in the code, and the picture of the rooms.',
  options: { check: { default: false, says: 'write nothing: fail when one is out of date' } },
});

function statisticsPage(): string {
  const groups = [...new Set(statistics.map(({ group }) => group))];
  const sections = groups.map((group) => {
    const rows = statistics
      .filter((statistic) => statistic.group === group)
      .map(({ name, unit, meaning, high, low, scored, logFloor, resolution, source }) => [
        code(name),
        unit,
        meaning,
        high,
        low,
        scored ? (logFloor === undefined ? 'x' : `ln(x + ${logFloor})`) : 'not',
        resolution,
        source,
      ]);
    return `## ${group}\n\n${table(['name', 'unit', 'meaning', 'high: the image is ...', 'low: the image is ...', 'scored as', 'resolution', 'source'], rows)}`;
  });
  return page(
    'Statistics',
    'src/image/statistics/statistics.ts',
    `The ${statistics.length} numbers measured on every image, in the order of ${code('GET /statistics')}. A heavy-tailed one is scored as a logarithm; what is shown to people is always x itself. A statistic that does not apply to an image is ${code('null')}. The phrases under high and low end with the reference: "brighter than" the reference. The resolution is the smallest difference that means anything: less is no evidence, and a statistic that varies by less over a reference is a constant there.`,
    ...sections,
  );
}

function errorsPage(): string {
  return page(
    'Errors',
    'src/errors.ts',
    'Every error that Stopline raises on purpose. Match on the code; the message says what was expected and what came, and may change between versions.',
    table(
      ['code', 'meaning', 'HTTP status', 'exit code'],
      errorTable.map((row) => [code(row.code), row.meaning, row.status, row.exit]),
    ),
    [
      '## Remarks',
      `What decides is what the pixels are, and whether they are all there. An oddity that loses no pixel is a remark: in ${code('image.remarks')} of the verdict, in the column ${code('remarks')} of rows, and counted in summaries and in ${code('stopline_remarks_total')}. It decides nothing. From ${code('src/image/container/remark.ts')}.`,
      table(
        ['remark', 'meaning'],
        Object.entries(remarkMeanings).map(([kind, meaning]) => [code(kind), meaning]),
      ),
    ].join('\n\n'),
  );
}

function causesPage(): string {
  return page(
    'Simulated causes',
    'src/image/corruptions/corruptions.ts',
    `The ${corruptions.length} causes that ${code('stopline corrupt')} can put an image through, each with severities 1 (mild) to 5 (severe).`,
    table(
      ['cause', 'family', 'meaning', 'source of the parameters'],
      corruptions.map(({ name, family, meaning, source }) => [code(name), family, meaning, source]),
    ),
  );
}

function settingsPage(): string {
  // Depends on the machine, so it cannot stand in a document.
  const showDefault = (key: string, value: unknown) =>
    key === 'threads' ? 'cores' : value === undefined ? 'none' : code(String(value));
  const sections = settingGroups.map((group) => {
    const rows = settings
      .filter((setting) => setting.group === group)
      .map(({ key, flag, env, expects, description, default: value }) => [
        code(key),
        code(flag),
        code(env),
        expects,
        showDefault(key, value),
        description,
      ]);
    const head = ['setting', 'option', 'environment', 'expects', 'default', 'meaning'];
    return `## ${group.title}\n\n${group.about}\n\n${table(head, rows)}`;
  });
  return page(
    'Settings',
    'src/settings.ts',
    `Everything that ${code('stopline serve')} can be told, by concern. Defaults < JSON file (${code('--config')}, keys as in the first column) < environment < options; ${code('--print-config')} shows what is in force and where it came from, without secrets. A share may be written as ${code('0.01')} or ${code('1%')}. An unknown ${code('STOPLINE_*')} variable is an error, which names the setting that was probably meant.`,
    ...sections,
  );
}

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => (existsSync(root + path) ? readFileSync(root + path, 'utf8') : '');

function formsPage(): string {
  const { commit, results } = JSON.parse(read('docs/forms.json')) as {
    commit: string;
    results: Record<string, FormResult>;
  };
  const answer = (isSo: boolean | undefined) => (isSo === undefined ? 'not tried' : isSo ? 'yes' : 'no');
  const judged = (images: number, isSo: boolean | undefined) =>
    isSo ? (images === 0 ? 'it cannot be, and is told so' : `yes: ${images}`) : answer(isSo);
  const row = ({ name, spokenBy, path, images }: Pick<Form, 'name' | 'spokenBy' | 'path' | 'images'>) => {
    const { isJudged, isRefused, isPassed } = results[name] ?? {};
    return [name, spokenBy, code(path), judged(images, isJudged), answer(isRefused), answer(isPassed)];
  };
  const head = ['form', 'sent by', 'path', 'judged', 'refused rightly', 'passed rightly'];
  return page(
    'Forms of requests',
    'scripts/faults/forms.ts, scripts/faults/grpcforms.ts',
    `The ${forms.length} forms over HTTP and ${grpcForms.length} over gRPC in which images are sent to model servers. ${code('npm run forms')} sends each through a gate that enforces, closed and open, and through one that observes, with images like the reference and unlike it (commit ${commit}). *Judged*: good images pass by their verdict, and what cannot be judged is told so. *Refused rightly*: what is blocked, or cannot be judged by a closed gate, gets an error in the form of its protocol, and the upstream sees nothing. *Passed rightly*: the upstream gets the same bytes. ${code('test/scripts/forms.test.ts')} also cuts and changes every one of them.`,
    '## HTTP',
    table(head, forms.map(row)),
    '## gRPC',
    table(head, grpcForms.map(row)),
  );
}

const service = await renderServicePages();
const concepts = JSON.parse(read('docs/pictures/concepts.json')) as Concepts;
const probe = { ...(await takeProbe()), ...takeSightProbe() };
/** Pages with sections that commands of minutes to hours measured: each says whether it is out of date. */
const measured = ['docs/detection.md', 'docs/harm.md', 'docs/drift.md', 'docs/watch.md'];
const pages = {
  ...Object.fromEntries(measured.map((path) => [path, markStale(read(path), probe)])),
  'docs/performance.md': markStale(read('docs/performance.md'), takeSpeedProbe()),
  'docs/forms.md': formsPage(),
  'docs/statistics.md': statisticsPage(),
  'docs/errors.md': errorsPage(),
  'docs/causes.md': causesPage(),
  'docs/settings.md': settingsPage(),
  'docs/commands.md': await renderCommandsPage(),
  'docs/library.md': renderLibraryPage(),
  'docs/http.md': service.http,
  'docs/metrics.md': service.metrics,
  'docs/architecture.svg': drawRooms(),
  'docs/pictures/calibration.svg': drawCalibration(concepts),
  'docs/pictures/kinds.svg': drawKinds(concepts),
  'docs/pictures/promise.svg': drawPromise(concepts),
  'README.md': fillReadme(read('README.md'), read('docs/detection.md')),
};
if (values.check) {
  const stale = Object.entries(pages).filter(([path, text]) => read(path) !== text);
  for (const [path] of stale) console.error(`${path} is out of date: run npm run docs`);
  if (stale.length > 0) process.exitCode = 1;
} else {
  for (const [path, text] of Object.entries(pages)) writeFileSync(root + path, text);
}
