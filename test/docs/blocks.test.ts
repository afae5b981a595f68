import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'oxc-parser';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { renderFolder } from '../fixtures/camera.ts';
import { runHere } from '../fixtures/cli.ts';
import { causesProfile, fitOnce } from '../fixtures/fitted.ts';
import { smallClassifier } from '../fixtures/onnxfile.ts';
import { startObjectStore } from '../fixtures/s3.ts';
import { smallSavedModel, smallVariables, tensorBundle, writeSavedModel } from '../fixtures/savedmodelfile.ts';
import { readBlocks, readCommands, root, Typist } from '../fixtures/typist.ts';

/** Typed by a test of its own, from the first line to the last. */
const typedElsewhere = ['docs/first-steps.md'];
const pages = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'examples/README.md'].concat(
  readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`)
    .filter((path) => !typedElsewhere.includes(path)),
);
const blocks = pages.flatMap(readBlocks);

/** What is not typed here, and why. Each has to fit something. */
const excused: [RegExp, string][] = [
  [/^npm ci && npm run demo$|^npm run demo$/, 'check:package runs the demo'],
  [
    /^npm (ci|test|install|run (?!-s stopline)|rebuild)|^npm ci && npm test$/,
    'CI does, or it is for those who change Stopline',
  ],
  [/^STOPLINE_NETWORKS=/, 'networks of others, which lie in no repository'],
  [/^docker |^cd deploy$|^mkdir -p profile secrets/, 'no Docker engine is to be had'],
  [/^kubectl |^helm /, 'no cluster is to be had; a test renders the chart'],
  [
    /^useradd |^mkdir -p \/etc|^cp deploy\/stopline\.service/,
    'changes the machine; a test has systemd look at the unit',
  ],
  [/^pip install|^python -m tf2onnx/, 'TensorFlow is not to be had'],
  [/^srun /, 'Slurm is not to be had'],
  [/ watch rtsp:/, 'a camera on another host; first steps watches one over RTSP'],
  [/ watch --config cameras\.json/, 'cameras on other hosts; first steps watches two'],
  [/ --grpc-upstream /, 'first steps types it with both upstreams'],
  [
    / worker | --queue | \/footage\/|^npm run -s stopline -- consume /,
    'tests of the queue and of brokers do, with real ones',
  ],
  [/ --classifier | --block-when /, 'fitting with a classifier takes a minute; tests of harm do'],
  [/<key>/, 'a key of the service in the container above it'],
];

const excuse = (command: string) => excused.find(([pattern]) => pattern.test(command));

/** `npm run -s stopline -- fit a 'b c'` as the arguments of the command line; undefined for other programs. */
function readArguments(command: string): string[] | undefined {
  const [, rest] = /^(?:npm run -s stopline --|npx stopline|stopline) (.*)$/.exec(command) ?? [];
  return rest?.match(/'[^']*'|\S+/g)?.map((word) => word.replaceAll("'", ''));
}

/** What simulated causes and a network add takes minutes, and nothing that is typed here asks for it. */
function quicken(args: string[]): string[] {
  const isAccepting = args.join(' ').startsWith('profile accept');
  if (args[0] !== 'fit' && !isAccepting) return args;
  const model = args.includes('--model') || isAccepting ? [] : ['--model', 'none'];
  return [...args, ...model, '--simulations', '0', '--power', '0'];
}

const typist = new Typist();
const place = (...names: string[]) => join(typist.folder, ...names);
let env: Record<string, string>;
const stop: (() => unknown)[] = [];

beforeAll(async () => {
  // Few more than a fit needs: every command goes through all of them.
  for (let i = 0; i < 4; i++) await renderFolder(place(`drives/${i}`), 14, i * 14);
  const [frame, ...others] = await renderFolder(place('incoming'), 12, 300);
  for (const folder of ['dataset', 'images', 'kept/accepted', 'artifacts/demo/frames', 'frames', 'footage']) {
    mkdirSync(place(folder), { recursive: true });
    for (const [at, path] of others.entries()) copyFileSync(path, place(folder, `${at}.jpg`));
  }
  for (const name of ['clean', 'jpeg-1', 'rain-1']) copyFileSync(frame, place(`artifacts/demo/frames/${name}.jpg`));
  for (const camera of ['front', 'rear']) await renderFolder(place('cameras', camera), 50, camera === 'front' ? 0 : 50);
  await renderFolder(place('frames'), 40, 10);
  copyFileSync(frame, place('frame.jpg'));
  writeFileSync(
    place('labels.csv'),
    readdirSync(place('images'))
      .map((name, at) => `${name},${at % 3}\n`)
      .join(''),
  );
  const classes = readdirSync(place('incoming')).map((name, at) => `incoming/${name},${at % 2 ? 'car' : 'lorry'}\n`);
  writeFileSync(place('answers.csv'), `path,class\n${classes.join('')}`);
  const boxes = [0, 1, 2, 3].flatMap((drive) =>
    readdirSync(place(`drives/${drive}`)).map(
      (name) => `drives/${drive}/${name},20,10,80,60,car\ndrives/${drive}/${name},70,20,80,60,lorry\n`,
    ),
  );
  writeFileSync(place('detections.csv'), `path,x,y,width,height,class\n${boxes.join('')}`);
  await sharp({ create: { width: 160, height: 90, channels: 3, background: 'white' } })
    .png()
    .toFile(place('mask.png'));
  writeFileSync(place('classifier.onnx'), smallClassifier());
  writeSavedModel(place('exported_model'), smallSavedModel(), tensorBundle(smallVariables()));

  const footage = [0, 1, 2, 3].flatMap((drive) => {
    return readdirSync(place(`drives/${drive}`)).map(
      (name) => [name, readFileSync(place(`drives/${drive}`, name))] as const,
    );
  });
  const objects = [2025, 2026].flatMap((year) =>
    footage.map(([name, bytes]) => [`footage/${year}/${name}`, bytes] as const),
  );
  const store = await startObjectStore(new Map(objects));
  stop.push(store.stop);
  env = { ...store.env, STOPLINE_S3_ENDPOINT: store.endpoint, XDG_CACHE_HOME: place('cache') };
  // Most pages begin with a Profile; pages that fit one put theirs in its place.
  copyFileSync((await fitOnce(causesProfile)).profilePath, place('camera.stopline'));
  copyFileSync(place('camera.stopline'), place('artifacts/demo/camera.stopline'));
});
afterAll(async () => {
  await typist.remove();
  for (const end of stop) await end();
});

/** What a person does between two commands. */
const between: [RegExp, () => void][] = [
  // Another model than the one before, which has no card yet.
  [/model inspect classifier\.onnx .*--out/, () => rmSync(place('classifier.card.json'), { force: true })],
  [
    /profile accept labelled\.json/,
    () => {
      const tasks = JSON.parse(readFileSync(place('tasks.json'), 'utf8')) as object[];
      const annotations = [{ result: [{ type: 'choices', value: { choices: ['accept'] } }] }];
      writeFileSync(place('labelled.json'), JSON.stringify(tasks.map((task) => ({ ...task, annotations }))));
    },
  ],
];

/** @returns the exit status, and all that was printed */
async function type(command: string) {
  const args = readArguments(command);
  if (args === undefined) return typist.type(command);
  if (args[0] === 'serve') {
    await typist.leave();
    return { ...(await typist.type(`npx stopline ${command.replace(/^.*?stopline (-- )?/, '')}`)), code: 0 };
  }
  const before = process.cwd();
  process.chdir(typist.folder);
  try {
    const { code, stdout, stderr } = await runHere(quicken(args), { env });
    return { code, output: `${stdout}${stderr}` };
  } finally {
    process.chdir(before);
  }
}

/** Images judged, a data set checked, a drift found: what else than 0 is no failure. */
const answers: Record<string, number[]> = { inspect: [0, 3, 4], check: [0, 1], drift: [0, 1] };

describe('commands of the documents', () => {
  const shells = blocks.filter(({ language }) => language === 'sh' || language === 'bash');

  it('are excused for reasons that hold for one of them', () => {
    const all = shells.flatMap(({ text }) => readCommands(text));
    for (const [pattern, reason] of excused)
      expect(
        all.some((command) => pattern.test(command)),
        reason,
      ).toBe(true);
  });

  const runnable = pages.filter((page) =>
    shells.some(({ path, text }) => path === page && !readCommands(text).every(excuse)),
  );
  it.each(runnable)('of %s do what stands there', async (page) => {
    for (const { path, text } of shells) {
      if (path !== page) continue;
      for (const command of readCommands(text)) {
        if (excuse(command)) continue;
        for (const [pattern, act] of between) if (pattern.test(command)) act();
        const { code, output } = await type(command);
        const expected = answers[readArguments(command)?.[0] ?? ''] ?? [0];
        expect(expected, `${command}\n${output}`).toContain(code);
      }
    }
    await typist.leave();
  });
});

describe('other code of the documents', () => {
  it('is JSON that is read, and settings that there are', () => {
    const objects = blocks.filter(({ language }) => language === 'json');
    expect(objects.length).toBeGreaterThan(2);
    for (const { path, text } of objects) {
      if (Array.isArray(JSON.parse(text))) continue;
      const file = place('settings.json');
      writeFileSync(file, text);
      expect(() => loadConfig({ env: {}, file }), path).not.toThrow();
    }
  });

  const scripts = blocks.filter(({ language }) => language === 'js');
  it.each(scripts.map((block, at) => [`${block.path}, ${block.section} (${at})`, block] as const))(
    '%s is JavaScript, and imports what there is',
    async (_, { path, text }) => {
      const { errors, module } = parseSync(`${path}.mjs`, text, { sourceType: 'module' });
      expect(errors).toEqual([]);
      for (const { moduleRequest, entries } of module.staticImports) {
        const [, door = 'index'] = /^stopline(?:\/(\w+))?$/.exec(moduleRequest.value) ?? [undefined, undefined];
        if (!/^stopline/.test(moduleRequest.value)) continue;
        const exported = await import(join(root, 'src', `${door}.ts`));
        for (const { importName } of entries) expect(exported).toHaveProperty(importName.name ?? 'default');
      }
    },
  );

  it('in CI files are commands that run', async () => {
    const lines = blocks
      .filter(({ path, language }) => path === 'docs/ci.md' && language === 'yaml')
      .flatMap(({ text }) => [...text.matchAll(/npx stopline (.*)$/gm)].map(([line]) => line));
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const { code, output } = await typist.type(line.replace('"$GITHUB_STEP_SUMMARY"', 'summary.md'));
      expect([0, 1], `${line}\n${output}`).toContain(code);
    }
    expect(readFileSync(place('summary.md'), 'utf8')).toContain('|');
    expect(readFileSync(place('stopline.xml'), 'utf8')).toContain('<testsuite');
  });
});
