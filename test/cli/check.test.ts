import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { formatFindings, listFindings, toJson } from '../../src/cli/findings.ts';
import { checkPopulation, defaultShares, type PopulationCheck } from '../../src/drift/check.ts';
import { Population } from '../../src/drift/population.ts';
import { fit } from '../../src/fit/fit.ts';
import type { Profile } from '../../src/profile/description.ts';
import { saveProfile } from '../../src/profile/file.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { renderRunReport } from '../../src/report/run.ts';
import { jpegFrame, renderFolder } from '../fixtures/camera.ts';
import { readError, runHere } from '../fixtures/cli.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const flags = ['--profile', at('camera.stopline'), '--threads', '1', '--json'];
/** What a workflow command, a table and a page would run. */
const hostile = '::error::x|<b>%0A`.jpg';
let profile: Profile;
/** Images of a lower quality, one with a hostile name, and one that is none. */
let population: Population;
let check: PopulationCheck;

beforeAll(async () => {
  await renderFolder(at('reference'), 120);
  const options = { model: 'none', simulations: 0, power: 0, threads: 1, name: 'front' } as const;
  ({ profile } = await fit({ paths: [at('reference')], ...options }));
  await saveProfile(profile, at('camera.stopline'));
  const { inspect } = await createInspector({ profile });
  population = new Population(profile);
  for (let i = 0; i < 39; i++) {
    population.add({ path: `${i}.jpg`, ...(await inspect(await jpegFrame(2000 + i, 20))) });
  }
  population.add({ path: hostile, error: { code: 'STOPLINE_ERR_IMAGE_CORRUPT', message: 'broken' } });
  check = checkPopulation(population, { ...defaultShares(profile), maxDistance: 0.2 });
});

const format = (name: 'text' | 'junit' | 'github' | 'markdown') =>
  formatFindings(name, { findings: listFindings(check), check, population, profile });

describe('stopline check', () => {
  it('exits with 0 for fresh images of the same camera and with 1 for compressed ones', async () => {
    await renderFolder(at('fresh'), 40, 1000);
    mkdirSync(at('compressed'));
    for (let i = 0; i < 20; i++) writeFileSync(at(`compressed/${i}.jpg`), await jpegFrame(2000 + i, 20));
    writeFileSync(at('compressed/x.jpg'), 'no image');
    const pass = await runHere(['check', at('fresh'), ...flags]);
    expect(pass.code, pass.stderr).toBe(0);
    expect(JSON.parse(pass.stdout)).toMatchObject({ passed: true, images: 40, failed: 0 });
    const drift = await runHere(['check', at('compressed'), ...flags]);
    expect(drift.code, drift.stderr).toBe(1);
    const { passed, images, failed, shares, statistics } = JSON.parse(drift.stdout);
    expect({ passed, images, failed }).toEqual({ passed: false, images: 21, failed: 1 });
    expect(shares.block).toMatchObject({ hits: 21, passed: false });
    expect(statistics.find(({ name }: { name: string }) => name === 'latticeScore')).toMatchObject({ moved: true });
    // Where everything is allowed, everything passes.
    const all = ['--max-block', '100%', '--max-warn', '1', '--max-distance', '100%'];
    const unjudged = await runHere(['check', at('compressed'), ...flags, ...all]);
    expect(unjudged.code, unjudged.stderr).toBe(1);
    expect(JSON.parse(unjudged.stdout)).toMatchObject({
      passed: false,
      shares: { failed: { hits: 1, passed: false } },
    });
    expect((await runHere(['check', at('compressed'), ...flags, ...all, '--max-failed', '5%'])).code).toBe(0);
    const mild = ['--max-block', '100%', '--max-warn', '1', '--max-failed', '5%', '--fail-on', 'stopped'];
    expect((await runHere(['check', at('compressed'), ...flags, ...mild])).code).toBe(0);
  });

  it('takes a limit in percent, with a space and without quotes, and lets the other give way to it', async () => {
    const { maxBlock, maxWarn } = defaultShares(profile);
    expect(defaultShares(profile, { maxWarn: maxBlock / 2 })).toEqual({
      maxBlock: maxBlock / 2,
      maxWarn: maxBlock / 2,
    });
    expect(defaultShares(profile, { maxBlock: 0.9 })).toEqual({ maxBlock: 0.9, maxWarn: 0.9 });
    expect(defaultShares(profile, { maxBlock: 0, maxWarn: 0.5 })).toEqual({ maxBlock: 0, maxWarn: 0.5 });
    expect(maxBlock).toBeLessThanOrEqual(maxWarn);
    for (const given of [
      ['--max-warn', '0.5 %'],
      ['--max-warn', '0.5', '%'],
      ['--max-warn=0.5', '%'],
    ]) {
      const run = await runHere(['check', at('absent'), ...flags, ...given]);
      expect(readError(run)).toMatchObject({ code: 'STOPLINE_ERR_INPUT_NOT_FOUND' });
      const wrong = await runHere(['check', at('absent'), ...flags, '--max-block', '90%', ...given]);
      expect(readError(wrong).message).toContain('but received 0.5 % and 90 %.');
    }
  });

  it.each([
    [['--max-block', '2'], 'Expected a share such as 1% or 0.01'],
    [['--max-block', '90%', '--max-warn', '1%'], 'to be at least --max-block'],
  ])('exits with 2 on %s', async (wrong, message) => {
    const run = await runHere(['check', at('reference'), ...flags, ...wrong]);
    expect(run.code).toBe(2);
    expect(readError(run)).toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    expect(run.stderr).toContain(message);
  });
});

describe('what check prints', () => {
  it('never says pass of what could not be judged, in any format', async () => {
    const clean = new Population(profile);
    const { inspect } = await createInspector({ profile });
    for (let i = 0; i < 40; i++) clean.add({ path: `${i}.jpg`, ...(await inspect(await jpegFrame(1000 + i))) });
    const limits = { maxBlock: 1, maxWarn: 1, maxDistance: 1 };
    expect(checkPopulation(clean, limits).passed).toBe(true);
    clean.add({ path: 'note.jpg', error: { code: 'STOPLINE_ERR_IMAGE_UNSUPPORTED', message: 'text' } });
    const failed = checkPopulation(clean, limits);
    expect(failed).toMatchObject({ passed: false, failsByFailed: true });
    expect(checkPopulation(clean, { ...limits, maxFailed: 1 / 41 }).passed).toBe(true);
    const checked = { findings: listFindings(failed), check: failed, population: clean, profile };
    expect(formatFindings('text', checked)).toMatch(/^FAIL {2}1 of 41 images could not be judged, so nothing is known/);
    expect(formatFindings('junit', checked)).toContain('name="failed"><failure message="2.44 % could not be judged');
    expect(formatFindings('github', checked)).toMatch(/^::error title=Stopline%3A images not judged::/);
    expect(formatFindings('markdown', checked)).toMatch(/^### Fail\n\n1 of 41 images could not be judged/);
  });

  it('says as text what was found, and what was expected', () => {
    const text = format('text');
    // What it means and how large it is, before anything else.
    expect(text.split('\n')[0]).toMatch(
      /^DRIFT {2}Images are stopped: 100 % of 40 images are warned about or blocked, where .* is allowed\. The mix has shifted, too: \d+ of \d+ statistics, most of all /,
    );
    expect(text.split('\n')[1]).toBe('40 images against the reference "front":');
    expect(text).toContain('FAIL  100 % blocked (40 of 40, 95 % interval 91.2 % to 100 %)');
    expect(text).toContain(`${check.moved.length} of ${check.compared} statistics have moved`);
    expect(text).toMatch(/^ {8}\d\. .* than the reference: .*median [\d.-]+ .*in the reference [\d.-]+/m);
    // Names are for those who ask.
    expect(text).not.toContain('latticeScore');
    expect(text).toContain(
      '1 image that could not be judged counts as blocked: STOPLINE_ERR_IMAGE_CORRUPT, such as ::error',
    );
  });

  it('counts and orders what has moved the same in every format, and in the report of the run', async () => {
    const json = toJson(check, population, profile);
    const names = check.moved.map(({ name }) => name);
    const words = check.groups.map((group) => group.words);
    expect(names.length).toBeGreaterThan(5);
    expect(words.length).toBeGreaterThan(2);
    expect(json.moved).toBe(names.length);
    expect(json.groups.flatMap((group) => group.statistics)).toEqual(names);
    expect(json.statistics.slice(0, names.length).map(({ name }) => name)).toEqual(names);
    const counted = `${names.length} of ${check.compared} statistics`;
    const report = await renderRunReport(profile, { population, transitions: [] }, async () => new Uint8Array());
    for (const text of [format('text'), format('markdown'), report]) {
      expect(text).toContain(`${counted} have moved`);
      const shown = [...text.matchAll(/(?:^\s*|<h3>)\d+\. ([^:<]+)/gm)].map(([, found]) => found);
      expect(shown.slice(0, words.length)).toEqual(words.slice(0, shown.length));
      expect(shown.length).toBeGreaterThan(2);
    }
    for (const text of [format('text'), format('markdown'), format('github'), format('junit'), report]) {
      expect(text).toContain(`${counted}, most of all ${words[0]}`);
    }
    const cases = [...format('junit').matchAll(/classname="stopline\.statistics" name="(\w+)"><failure/g)];
    expect(cases.map(([, name]) => name)).toEqual(names);
  });

  it('writes JUnit with a case for everything checked, failures by name', () => {
    const xml = format('junit');
    const [, tests, failures] = /^<\?xml[^\n]+\n<testsuites name="[^"]*" tests="(\d+)" failures="(\d+)">/.exec(xml)!;
    expect(xml.match(/<testcase /g)).toHaveLength(Number(tests));
    expect(xml.match(/<failure /g)).toHaveLength(Number(failures));
    expect(Number(tests)).toBe(check.shifts.length + 3);
    expect(xml).toMatch(/<testcase classname="stopline\.statistics" name="latticeScore"><failure message="more JPEG/);
    expect(xml).toContain('<testcase classname="stopline.shares" name="blocked"><failure message="100 % blocked');
    // Well formed: every tag that opens closes.
    const open: string[] = [];
    for (const [, close, name, empty] of xml.matchAll(/<(\/?)([a-z-]+)[^<>]*?(\/?)>/g)) {
      if (close) expect(open.pop()).toBe(name);
      else if (!empty) open.push(name);
    }
    expect(open).toEqual([]);
  });

  it('writes annotations of GitHub that no file name can add to', () => {
    const lines = format('github').split('\n');
    expect(lines.length).toBeLessThanOrEqual(9);
    for (const line of lines) expect(line).toMatch(/^::error title=Stopline%3A [^:,]+::[^\r\n]+$/);
    expect(lines[0]).toContain('title=Stopline%3A too many images blocked::100 %25 blocked (40 of 40');
    expect(lines[2]).toContain('title=Stopline%3A images not judged::2.5 %25 could not be judged (1 of 40), 0 %25');
    expect(lines[3]).toMatch(/title=Stopline%3A \w+ has moved::/);
  });

  it('writes a table of Markdown in which file names are text', () => {
    const text = format('markdown');
    expect(text).toContain('| **fail** | `blocked` | 100 % blocked');
    expect(text).toContain('such as ::error::x&#124;&#60;b&#62;%0A&#96;.jpg');
    expect(text).not.toContain('<b>');
    for (const line of text.split('\n').filter((row) => row.startsWith('|'))) {
      expect(line.match(/\|/g), line).toHaveLength(4);
    }
  });
});
