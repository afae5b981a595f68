import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { confinedEnvironment, examineConfinement, limitNode } from '../../src/core/confine.ts';
import { pickEnvironment } from '../../src/core/environment.ts';
import { createPool } from '../../src/run/pool.ts';

const on = examineConfinement();
const isWhole = ['no-new-privileges', 'capabilities', 'landlock', 'seccomp'].every((name) => on.includes(name));
if (!isWhole)
  console.warn(`what is taken from decoders is not tried whole: only ${on.join(', ') || 'nothing'} is here`);

/** What somebody would try who has taken over a decoder; each is a program of one line that ends well only where it succeeds. */
const attempts: readonly (readonly [what: string, code: string])[] = [
  ['run a program', `const r = cp.spawnSync('/bin/true'); if (r.error) throw r.error`],
  ['run a program in a shell', `cp.execSync('true')`],
  ['make a file', `fs.writeFileSync(folder + '/made', '')`],
  ['add to a file', `fs.appendFileSync(file, 'x')`],
  ['empty a file', `fs.truncateSync(file)`],
  ['remove a file', `fs.unlinkSync(file)`],
  ['rename a file', `fs.renameSync(file, file + '2')`],
  ['link a file', `fs.linkSync(file, file + '3')`],
  ['make a symbolic link', `fs.symlinkSync('/', folder + '/link')`],
  ['make a folder', `fs.mkdirSync(folder + '/folder')`],
  ['change rights', `fs.chmodSync(file, 0o777)`],
  ['change times', `fs.utimesSync(file, 0, 0)`],
  ['read the environment of the service', `fs.readFileSync('/proc/' + process.ppid + '/environ')`],
  ['open the memory of the service', `fs.openSync('/proc/' + process.ppid + '/mem', 'r')`],
  ['read a file that the service has open', `fs.openSync('/proc/' + process.ppid + '/fd/0', 'r')`],
  ['write to itself', `fs.openSync('/proc/self/mem', 'r+')`],
  ['send a signal to the service', `process.kill(process.ppid, 0)`],
  ['connect', `await once(net.connect(9, '127.0.0.1'), 'connect')`],
  ['listen', `await once(net.createServer().listen(0), 'listening')`],
  ['listen on a name', `await once(net.createServer().listen('\\0stopline'), 'listening')`],
  ['write from a thread of libuv', `await fs.promises.writeFile(folder + '/made', '')`],
  [
    'write from a worker thread',
    `await once(new Worker("require('fs').writeFileSync('" + folder + "/made', '')", { eval: true }), 'exit')`,
  ],
  ['become another user', `process.setuid(65534)`],
];

describe.skipIf(!isWhole)('a process that decodes', () => {
  let folder: string;
  let file: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'stopline-confine-'));
    file = join(folder, 'file');
    writeFileSync(file, 'content');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** The code of the error of every attempt, or `done`. */
  function tryAll(isConfined: boolean): Record<string, string> {
    const program = `
      const { once } = require('node:events');
      const [fs, cp, net, { Worker }] = ['fs', 'child_process', 'net', 'worker_threads'].map((name) => require(name));
      const [folder, file] = ${JSON.stringify([folder, file])};
      const answers = {};
      const end = () => { console.log(JSON.stringify(answers)); process.exit(); };
      const attempts = [${attempts.map(([what, code]) => `[${JSON.stringify(what)}, async () => { ${code} }]`).join(',')}];
      (async () => {
        for (const [what, attempt] of attempts)
          answers[what] = await attempt().then(() => 'done', (error) => error.code ?? String(error));
        end();
      })();`;
    const [command, args] = limitNode(['-e', program], { maxBytes: 4 * 1024 ** 3, isConfined });
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env: pickEnvironment() });
    expect(stdout, stderr).not.toBe('');
    return JSON.parse(stdout);
  }

  it('may connect to one port where it fetches a stream, and no more', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const program = `
      const { once } = require('node:events');
      const net = require('node:net');
      const attempts = [
        () => once(net.connect(${port}, '127.0.0.1'), 'connect'),
        () => once(net.connect(${port === 9 ? 7 : 9}, '127.0.0.1'), 'connect'),
        () => once(net.createServer().listen(0), 'listening'),
        async () => require('node:fs').writeFileSync(${JSON.stringify(file)}, ''),
        async () => { const { error } = require('node:child_process').spawnSync('true'); if (error) throw error; },
      ];
      const name = (attempt) => attempt().then(() => 'done', (error) => error.code);
      Promise.all(attempts.map(name)).then((answers) => { console.log(answers.join()); process.exit(); });`;
    const env = { ...confinedEnvironment(), STOPLINE_CONFINE_PORT: String(port) };
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], { env });
    server.close();
    const [own, ...others] = stdout.trim().split(',');
    expect(own).toBe('done');
    expect(
      others.every((code) => code === 'EACCES' || code === 'EPERM'),
      stdout,
    ).toBe(true);
  });

  it('can do nothing of what a taken decoder would', () => {
    const answers = tryAll(true);
    expect(Object.keys(answers)).toEqual(attempts.map(([what]) => what));
    expect(Object.entries(answers).filter(([, answer]) => answer === 'done')).toEqual([]);
    expect(readFileSync(file, 'utf8')).toBe('content');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('could do most of it without', () => {
    const answers = tryAll(false);
    expect(answers).toMatchObject({
      'run a program': 'done',
      'make a file': 'done',
      'read the environment of the service': 'done',
      'send a signal to the service': 'done',
      listen: 'done',
    });
  });

  it('is the one that says what was taken, in every thread of it', async () => {
    const pool = await createPool({ threads: 1, isolation: 'process' });
    try {
      await pool.ready();
      expect(pool.info.confined).toEqual(on);
      const [child] = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
      for (const thread of readdirSync(`/proc/${child}/task`)) {
        const status = readFileSync(`/proc/${child}/task/${thread}/status`, 'utf8');
        expect(status).toMatch(/^NoNewPrivs:\t1$/m);
        expect(status).toMatch(/^Seccomp:\t2$/m);
        expect(status).toMatch(/^CapEff:\t0+$/m);
      }
    } finally {
      await pool.close();
    }
  });
});

it('keeps what the user preloads', () => {
  const before = process.env.LD_PRELOAD;
  process.env.LD_PRELOAD = '/usr/lib/other.so';
  try {
    expect(confinedEnvironment().LD_PRELOAD).toMatch(/^(.*confine\.node:)?\/usr\/lib\/other\.so$/);
  } finally {
    if (before === undefined) delete process.env.LD_PRELOAD;
    else process.env.LD_PRELOAD = before;
  }
});
