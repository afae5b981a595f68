import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { loadProfile, saveProfile } from '../../src/profile/file.ts';
import { makeKeys, signProfile } from '../../src/profile/signature.ts';
import { poolOptions } from '../../src/run/pool.ts';
import { encodeFrame, jpegFrame, renderFrame } from '../fixtures/camera.ts';
import { runHere } from '../fixtures/cli.ts';
import { fitOnce, plainProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';
import { picture } from '../fixtures/images.ts';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
let profile: string;

beforeAll(async () => {
  profile = (await fitOnce(plainProfile)).profilePath;
  for (const name of ['clean', 'large']) mkdirSync(at(name));
  writeFileSync(at('clean/a.jpg'), await jpegFrame(500));
  writeFileSync(at('large/a.jpg'), await picture(1600, 1600).jpeg({ progressive: true }).toBuffer());
});

/** What each command says of the one image of a folder: its verdict, or the code of its error. */
async function judge(name: string, env: Record<string, string>): Promise<Record<string, string>> {
  const flags = ['--profile', profile];
  const run = async (...args: string[]) => (await runHere([...args, ...flags], { env })).stdout;
  const describeRow = (row: { verdict?: string; error?: { code: string } }) => row.verdict ?? row.error?.code ?? 'none';
  const [score, inspect, check, drift] = await Promise.all([
    run('score', at(name), '--out', '-'),
    run('inspect', at(name, 'a.jpg'), '--json'),
    run('check', at(name), '--json'),
    run('drift', at(name), '--json'),
  ]);
  const { block, warn, pass, errors } = JSON.parse(check);
  const [source] = JSON.parse(drift).sources;
  return {
    score: describeRow(JSON.parse(score)),
    inspect: describeRow(JSON.parse(inspect)),
    check: errors[0]?.code ?? (block ? 'block' : warn ? 'warn' : pass ? 'pass' : 'none'),
    drift: source.failed ? 'failed' : 'judged',
  };
}

describe('a mask', () => {
  const mask = '0.2,0.2,0.7,0.7';

  beforeAll(async () => {
    for (const name of ['front', 'yard']) mkdirSync(at('covered', name), { recursive: true });
    const { data, width, height } = renderFrame(500, { width: 160, height: 90 });
    for (let y = Math.ceil(0.25 * height); y < 0.65 * height; y++)
      data.fill(200, 3 * (y * width + Math.ceil(0.25 * width)), 3 * (y * width + Math.floor(0.65 * width)));
    const covered = await encodeFrame({ data, width, height, channels: 3 });
    for (const name of ['front', 'yard']) writeFileSync(at('covered', name, 'a.jpg'), covered);
    writeFileSync(at('covered/list.csv'), 'path,source\nfront/a.jpg,front\nyard/a.jpg,yard\n');
  });

  it('of a command hides a part of every image', async () => {
    const run = async (command: string, ...args: string[]) =>
      JSON.parse((await runHere([command, ...args, '--profile', profile])).stdout);
    const file = at('covered/front/a.jpg');
    const [open, hidden] = [await run('inspect', file, '--json'), await run('inspect', file, '--json', '--mask', mask)];
    expect(open.statistics.lumaMean).not.toBe(hidden.statistics.lumaMean);
    const row = await run('score', at('covered/front'), '--out', '-', '--mask', mask);
    expect(row.statistics).toEqual(hidden.statistics);
  });

  it('of a source hides it in every command, by the name that the command knows', async () => {
    const file = at('covered/front/a.jpg');
    const statistics = async (...args: string[]) =>
      JSON.parse((await runHere(['inspect', file, '--json', ...args, '--profile', profile])).stdout).statistics;
    const [open, hidden] = [await statistics(), await statistics('--mask', mask)];
    const env = { STOPLINE_MASKS: JSON.stringify([{ sources: ['fr*'], mask }]) };
    const run = async (...args: string[]) => (await runHere([...args, '--profile', profile], { env })).stdout;
    const rows = await run('score', '--manifest', at('covered/list.csv'), '--out', '-');
    const [front, yard] = rows
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row));
    expect(front.statistics).toEqual(hidden);
    expect(yard.statistics).toEqual(open);
    // What leaves too little is refused, which `drift` tells of a source.
    const all = { STOPLINE_MASKS: JSON.stringify([{ sources: ['fr*'], mask: '0,0,1,0.98' }]) };
    const folders = [at('covered/front'), at('covered/yard')];
    const { stdout } = await runHere(['drift', ...folders, '--json', '--profile', profile], { env: all });
    const { sources } = JSON.parse(stdout);
    expect(sources.map(({ failed }: { failed: number }) => failed)).toEqual([1, 0]);
  });
});

describe('the settings that decide a verdict', () => {
  it('are those of the pool in every use', () => {
    const { config } = loadConfig({
      env: {},
      flags: {
        core: 'wasm',
        decideBy: 'content',
        blockWhen: 'score > 3',
        model: 'a.onnx',
        device: 'gpu',
        threads: '3',
        bodyLimit: '5000',
        maxPixels: '600',
        maxSide: '70',
        maxModelBytes: '8000',
        maxModelNodes: '90',
        ignore: 'size',
        isolation: 'thread',
        maxImageMs: '800',
        maxWaitMs: '90',
      },
    });
    const judging = {
      core: 'wasm',
      decideBy: 'content',
      blockWhen: 'score > 3',
      model: 'a.onnx',
      device: 'gpu',
      threads: 3,
      ignore: ['size'],
      limits: { maxBytes: 5000, maxPixels: 600, maxSide: 70, maxModelBytes: 8000, maxModelNodes: 90 },
    };
    // A model of the user's runs in processes, and has the time of its trial.
    const confined = { isolation: 'process', maxImageMs: 30_000 };
    expect(poolOptions(config, 'stream')).toEqual({ ...judging, ...confined });
    expect(poolOptions(config, 'batch')).toEqual({ ...judging, ...confined });
    const { model: _, ...own } = config;
    const { model: __, ...judgingOwn } = judging;
    expect(poolOptions(own, 'stream')).toEqual(judgingOwn);
    expect(poolOptions(own, 'batch')).toEqual({ ...judgingOwn, isBatch: true });
    expect(poolOptions(config, 'service')).toEqual({
      ...judging,
      isolation: 'thread',
      maxImageMs: 800,
      maxWaitMs: 90,
    });
  });

  it('have the same effect in every command', async () => {
    const blocked = { score: 'block', inspect: 'block', check: 'block', drift: 'judged' };
    expect(await judge('clean', { STOPLINE_BLOCK_WHEN: 'score > -1000' })).toEqual(blocked);
    const code = 'STOPLINE_ERR_IMAGE_TOO_MANY_PIXELS';
    const refused = { score: code, inspect: code, check: code, drift: 'failed' };
    expect(await judge('large', { STOPLINE_MAX_PIXELS: '1000000' })).toEqual(refused);
  });

  it('ask for the signature of the Profile in every command', async () => {
    const keys = makeKeys();
    writeFileSync(at('key.pem'), keys.publicKey);
    const signed = at('signed.stopline');
    await saveProfile(signProfile(await loadProfile(profile), keys.privateKey), signed);
    const args = (command: string, file: string) => [
      ...[command, at('clean', ...(command === 'inspect' ? ['a.jpg'] : [])), '--profile', file],
      ...['--profile-key', at('key.pem'), ...(command === 'score' ? ['--out', '-'] : [])],
    ];
    const runs = await Promise.all(
      ['score', 'inspect', 'check', 'drift'].flatMap((command) => [
        runHere(args(command, profile)),
        runHere(args(command, signed)),
      ]),
    );
    for (const [i, { code, stderr }] of runs.entries()) {
      if (i % 2 === 0) expect(stderr).toContain('STOPLINE_ERR_PROFILE_SIGNATURE');
      else expect(stderr).not.toContain('STOPLINE_ERR');
      expect(code === 78).toBe(i % 2 === 0);
    }
  });
});

describe('a run that left something out', () => {
  it('says what at its end, and with --strict ends with an error', async () => {
    mkdirSync(at('rest'));
    writeFileSync(at('rest/a.jpg'), readFileSync(at('clean/a.jpg')));
    for (const name of ['notes.txt', 'more.txt']) writeFileSync(at('rest', name), '');
    const args = ['score', at('rest'), '--profile', profile, '--out', at('rows.jsonl')];
    const [run, strict] = [await runHere(args), await runHere([...args, '--strict'])];
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toContain(`2 no image by its name: .txt (${at('rest/more.txt')}, ${at('rest/notes.txt')})`);
    expect(strict.code).toBe(65);
    expect(strict.stderr).toContain('STOPLINE_ERR_INPUT_LEFT_OUT');
  });
});
