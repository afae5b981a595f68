import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { ask, type Outcome, post, type Stage } from './target.ts';

const saved = (name: string) => fileURLToPath(new URL(`../../test/fixtures/${name}`, import.meta.url));

/** A Profile, a store and a quarantine that commit 63a478e wrote: a service goes on with all of them. */
export async function run(stage: Stage): Promise<Outcome> {
  const state = join(stage.folder, 'state');
  const quarantine = join(stage.folder, 'kept');
  mkdirSync(state);
  writeFileSync(join(state, 'stopline.db'), gunzipSync(readFileSync(saved('saved/store-63a478e.db.gz'))));
  cpSync(saved('saved/service-63a478e/quarantine'), quarantine, { recursive: true });
  const kept = readdirSync(quarantine).filter((name) => name.endsWith('.json')).length;
  const target = await stage.start({
    profile: saved('profiles/63a478e.stopline'),
    args: ['--state-dir', state, '--quarantine', quarantine, '--quarantine-days', '3650', '--max-wait-ms', '60000'],
  });
  const { status, body } = await post(target.url, stage.frame);
  const read = async (path: string) => (await ask(target.url, { method: 'GET', path })).body;
  const verdict = /"verdict":"(\w+)"/.exec(body)?.[1];
  const sources = (await read('/drift')).split('"source":').length - 1;
  const images = Number(/"count":(\d+)/.exec(await read('/quarantine'))?.[1]);
  target.kill('SIGKILL');
  return {
    ok: status === 200 && verdict !== undefined && sources > 1 && images >= kept,
    figures: `of commit 63a478e: the Profile judges (${verdict}), ${sources} sources go on, ${images} of ${kept} stopped images are there`,
  };
}
