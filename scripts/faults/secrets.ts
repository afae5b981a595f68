import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ask, type Outcome, post, type Stage } from './target.ts';

const password = 'hunter2hunter2';
const canary = 'CANARY7';

/** Answers that name places of the machine or what came in a body, and settings that show passwords. */
export async function run(stage: Stage): Promise<Outcome> {
  const profile = join(stage.folder, 'gone.stopline');
  copyFileSync(stage.profile, profile);
  const target = await stage.start({ profile, args: ['--max-wait-ms', '60000'] });
  rmSync(profile);
  const told: string[] = [];
  const replies = {
    'a Profile that is gone': await ask(target.url, { path: '/profile/reload' }),
    'the state of the service': await ask(target.url, { method: 'GET', path: '/health/ready' }),
    'bytes of no image': await post(target.url, Buffer.from(`${canary}${canary.repeat(9)}`)),
    'a part of a form': await post(target.url, Buffer.from(`--x\r\n${canary}\r\n\r\na\r\n--x--`), {
      'content-type': 'multipart/form-data; boundary=x',
    }),
  };
  for (const [what, { body }] of Object.entries(replies)) {
    if (body.includes(stage.folder)) told.push(`${what}: a path`);
    if (body.includes(canary)) told.push(`${what}: what came`);
  }
  const address = (scheme: string) => `${scheme}://user:${password}@127.0.0.1:1`;
  const urls = {
    upstream: address('http'),
    redis: address('redis'),
    queue: address('redis'),
    'alert-webhook': address('http'),
    'alert-slack': address('http'),
    alertmanager: address('http'),
    's3-endpoint': address('http'),
  };
  const args = Object.entries(urls).flatMap(([name, url]) => [`--${name}`, url]);
  const { stdout, stderr } = await stage.command(['serve', '--profile', stage.profile, ...args, '--print-config']);
  const shown = (stdout + stderr).split(password).length - 1;
  const isPrinted = stdout.includes('127.0.0.1:1');
  return {
    ok: told.length === 0 && shown === 0 && isPrinted,
    figures: `${Object.keys(replies).length} answers tell ${told.length} things${told.length > 0 ? ` (${told.join('; ')})` : ''}; --print-config shows ${shown} passwords of ${Object.keys(urls).length} addresses`,
  };
}
