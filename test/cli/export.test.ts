import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { decode } from '../../src/image/decode.ts';
import { encodePng } from '../../src/image/encode.ts';
import { createInspector } from '../../src/profile/inspector.ts';
import { jpegFrame, smallSize } from '../fixtures/camera.ts';
import { readError, runHere } from '../fixtures/cli.ts';
import { causesProfile, fitOnce } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);

beforeAll(async () => {
  const { profilePath, profile } = await fitOnce(causesProfile);
  mkdirSync(path('in'));
  for (let i = 0; i < 4; i++) writeFileSync(path(`in/fine${i}.jpg`), await jpegFrame(400 + i));
  // Half of the picture is covered.
  const { frame } = await decode(await jpegFrame(500));
  frame.data.fill(90, 0, (frame.data.length / 2) | 0);
  const covered = await encodePng(frame);
  writeFileSync(path('in/covered.png'), covered);
  writeFileSync(path('in/torn.jpg'), 'no image');
  for (const ending of ['jsonl', 'csv', 'parquet']) {
    const run = await runHere(['score', path('in'), '--profile', profilePath, '--out', path(`rows.${ending}`)]);
    expect(run.code, run.stderr).toBe(0);
  }
  const verdict = await (await createInspector({ profile })).inspect(covered);
  const id = verdict.image.sha256;
  mkdirSync(path('kept'));
  cpSync(path('in/covered.png'), path(`kept/${id}.png`));
  const kept = { id, at: 5, source: 'gate', requestId: 'r', format: 'png', bytes: covered.length, verdict };
  writeFileSync(path(`kept/${id}.json`), JSON.stringify(kept));
  // On its way: a verdict without its image.
  writeFileSync(path(`kept/${'0'.repeat(64)}.json`), '{}');
});

describe('pick', () => {
  it.each(['jsonl', 'csv', 'parquet'])(
    'chooses the strangest of rows in %s first, and writes them for export',
    async (ending) => {
      const run = await runHere(['pick', '2', path(`rows.${ending}`), '--out', path('picked.jsonl')]);
      expect(run.code, run.stderr).toBe(0);
      expect(run.stdout).toMatch(/^2 images of 5 to label first:/);
      expect(run.stdout).toMatch(/1 +\S+covered\.png +(warn|block)/);
      const rows = readFileSync(path('picked.jsonl'), 'utf8').trimEnd().split('\n');
      expect(rows.map((row) => JSON.parse(row).path)[0]).toBe(path('in/covered.png'));
      const again = await runHere(['export', path('picked.jsonl'), '--format', 'jsonl', '--out', path('again.jsonl')]);
      expect(again.stdout).toMatch(/^2 images written/);
    },
  );

  it('chooses from a quarantine that a service may have open', async () => {
    const before = readdirSync(path('kept'));
    const { stdout } = await runHere(['pick', '9', path('kept'), '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ from: 1, images: [{ verdict: expect.stringMatching(/warn|block/) }] });
    expect(readdirSync(path('kept'))).toEqual(before);
  });

  it('says what it expects', async () => {
    expect((await runHere(['pick', 'many', path('rows.jsonl')])).stderr).toContain('whole number from 1');
    const none = await runHere(['pick', '3', path('in/torn.jpg'), '--json']);
    expect(readError(none)).toMatchObject({ code: 'STOPLINE_ERR_REQUEST_INVALID' });
    const empty = await runHere(['pick', '3', path('in'), '--json']);
    expect(readError(empty).code).toBe('STOPLINE_ERR_INPUT_NO_IMAGES');
  });
});

describe('export', () => {
  it('copies the images of a quarantine, names them from the root, and marks what stands out', async () => {
    const args = ['--format', 'coco', '--copy', path('work/images'), '--tiles', '--out', path('work.json'), '--json'];
    const run = await runHere(['export', path('kept'), ...args, '--root', path('work')]);
    expect(JSON.parse(run.stdout)).toEqual({ file: path('work.json'), format: 'coco', images: 1, unread: [] });
    const coco = JSON.parse(readFileSync(path('work.json'), 'utf8'));
    const [copied] = readdirSync(path('work/images'));
    expect(coco.images).toEqual([{ id: 1, file_name: `images/${copied}`, ...smallSize }]);
    const blur = coco.categories.find(({ name }: { name: string }) => name === 'blur').id;
    const marked = coco.annotations.filter(({ category_id }: { category_id: number }) => category_id === blur);
    expect(marked.length).toBeGreaterThan(0);
    // All of it lies in the covered half.
    for (const { bbox } of marked) expect(bbox[1] + bbox[3]).toBeLessThanOrEqual(smallSize.height / 2 + 1);
  });

  it('copies nothing but images, whatever rows of elsewhere name', async () => {
    const [row] = readFileSync(path('rows.jsonl'), 'utf8').split('\n');
    writeFileSync(path('secret.txt'), 'a secret that is no image');
    writeFileSync(path('hostile.jsonl'), JSON.stringify({ ...JSON.parse(row), path: path('secret.txt') }));
    const args = ['--format', 'coco', '--copy', path('served'), '--out', path('hostile.json'), '--json'];
    const run = await runHere(['export', path('hostile.jsonl'), ...args]);
    expect(JSON.parse(run.stdout).unread).toMatchObject([{ code: 'STOPLINE_ERR_IMAGE_UNSUPPORTED' }]);
    expect(readdirSync(path('served'))).toEqual([]);
  });

  it('leaves verdicts out that are not asked for, and says what could not be read', async () => {
    writeFileSync(path('gone.jsonl'), readFileSync(path('rows.jsonl'), 'utf8').replaceAll('covered.png', 'gone.png'));
    const args = ['--format', 'fiftyone', '--out', path('gone.json'), '--only', 'warn', 'block', '--tiles'];
    const run = await runHere(['export', path('gone.jsonl'), ...args]);
    expect(run.code).toBe(0);
    expect(run.stderr).toMatch(/1 image could not be read, such as \S+gone\.png/);
    const { samples } = JSON.parse(readFileSync(path('gone.json'), 'utf8'));
    expect(samples.map(({ filepath }: { filepath: string }) => filepath)).toEqual([path('in/gone.png')]);
  });

  it('shows the interface of Label Studio, and names images as it serves them', async () => {
    const run = await runHere(['export', path('rows.jsonl'), '--format', 'label-studio', '--out', path('tasks.json')]);
    expect(run.stderr).toContain('<Choices name="label"');
    const tasks = JSON.parse(readFileSync(path('tasks.json'), 'utf8'));
    expect(tasks[0].data.image).toMatch(/^\/data\/local-files\/\?d=in%2F/);
    const other = ['--url-prefix', 'https://images.example/', '--out', path('other.json')];
    await runHere(['export', path('rows.jsonl'), '--format', 'label-studio', ...other]);
    expect(readFileSync(path('other.json'), 'utf8')).toContain('"image":"https://images.example/in/covered.png"');
  });
});
