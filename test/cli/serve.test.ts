import { copyFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { jpegFrame } from '../fixtures/camera.ts';
import { runHere, startService, stopline } from '../fixtures/cli.ts';
import { fitOnce, plainProfile } from '../fixtures/fitted.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const profile = join(folder, 'camera.stopline');

beforeAll(async () => {
  const fitted = await fitOnce(plainProfile);
  copyFileSync(fitted.profilePath, profile);
  writeFileSync(join(folder, 'frame.jpg'), await jpegFrame(0));
});

describe('stopline serve', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('answers over HTTP and ends with 0 on %s', async (signal) => {
    const service = await startService(['--profile', profile, '--threads', '1']);
    const response = await service.post(await jpegFrame(100));
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ verdict: expect.stringMatching(/^(pass|warn|block)$/) });
    const { code, stdout, stderr } = await service.stop(signal);
    expect(code).toBe(0);
    expect(stderr).toContain(`listening at ${service.url}`);
    // Standard output carries the log, one JSON object a line.
    for (const line of stdout.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('level');
  });

  it('shows the settings in force and where each comes from, without starting', async () => {
    const file = join(folder, 'settings.json');
    writeFileSync(file, JSON.stringify({ maxSide: 4096, bodyLimit: 2048 }));
    const { code, stdout } = await runHere(
      ['serve', '--print-config', '--config', file, '--port', '9000', '--trusted-request-id'],
      { env: { STOPLINE_BODY_LIMIT: '4096', STOPLINE_PORT: '9001' } },
    );
    expect(code).toBe(0);
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(rows).toContainEqual(['port', '9000', '(flag)']);
    expect(rows).toContainEqual(['bodyLimit', '4096', '(environment)']);
    expect(rows).toContainEqual(['maxSide', '4096', '(file)']);
    expect(rows).toContainEqual(['trustedRequestId', 'true', '(flag)']);
    expect(rows).toContainEqual(['host', '"127.0.0.1"', '(default)']);
  });

  it.each([
    ['without a Profile', [], 2, /Expected --profile FILE/],
    ['with a Profile that does not exist', ['--profile', join(folder, 'none')], 78, /PROFILE_UNREADABLE/],
    ['with a Profile that is none', ['--profile', join(folder, 'frame.jpg')], 78, /PROFILE_/],
    [
      'with a port that is none',
      ['--profile', profile, '--port', '70000'],
      2,
      /--port to be an integer from 0 to 65535/,
    ],
    [
      'with a config file that does not exist',
      ['--profile', profile, '--config', join(folder, 'no.json')],
      2,
      /ENOENT/,
    ],
  ])('does not start %s', async (_, args, code, message) => {
    const run = await runHere(['serve', ...args]);
    expect(run).toMatchObject({ code, stdout: '' });
    expect(run.stderr).toMatch(message);
  });

  it('does not start on a port that is taken', async () => {
    const taken = await new Promise<Server>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
    });
    const { port } = taken.address() as { port: number };
    const run = await stopline(['serve', '--profile', profile, '--port', String(port)]);
    await new Promise((resolve) => taken.close(resolve));
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(new RegExp(`127.0.0.1:${port} gave EADDRINUSE`));
  });
});
