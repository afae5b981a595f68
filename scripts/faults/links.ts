import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome, Stage } from './target.ts';

/** What lies among images and leads elsewhere, or to nothing that ends. */
export async function run(stage: Stage): Promise<Outcome> {
  const at = (...names: string[]) => join(stage.folder, ...names);
  for (const name of ['incoming/own', 'private', 'piped']) mkdirSync(at(name), { recursive: true });
  writeFileSync(at('private/secret.jpg'), stage.frame);
  execFileSync('tar', ['-cf', at('private/secret.tar'), '-C', at('private'), 'secret.jpg']);
  symlinkSync(at('private/secret.tar'), at('incoming/link.tar'));
  symlinkSync(at('private/secret.jpg'), at('incoming/link.jpg'));
  const inputs = ['*.tar', '*.jpg'];
  try {
    const made = ['-y', '-loglevel', 'error', '-loop', '1', '-i', at('private/secret.jpg'), '-t', '2'];
    execFileSync('ffmpeg', [...made, '-pix_fmt', 'yuv420p', at('private/secret.mp4')]);
    copyFileSync(at('private/secret.mp4'), at('incoming/own/other.mp4'));
    writeFileSync(at('incoming/list.mp4'), `ffconcat version 1.0\nfile 'own/other.mp4'\n`);
    symlinkSync(at('private/secret.mp4'), at('incoming/link.mp4'));
    inputs.push('list.mp4', 'l*k.mp4');
  } catch {
    // Without ffmpeg no video is read at all.
  }
  const args = ['--profile', stage.profile, '--threads', '1', '--out'];
  let judged = 0;
  for (const [i, input] of inputs.entries()) {
    await stage.command(['score', at('incoming', input), ...args, at(`rows${i}.jsonl`)]);
    const rows = existsSync(at(`rows${i}.jsonl`)) ? readFileSync(at(`rows${i}.jsonl`), 'utf8') : '';
    judged += rows.split('"verdict":').length - 1;
  }
  const pipes = ['a.jpg', 'a.tar', 'a.mp4'];
  execFileSync(
    'mkfifo',
    pipes.map((name) => at('piped', name)),
  );
  const waited: string[] = [];
  for (const name of pipes) {
    const { code } = await stage.command(['score', at('piped', name), ...args, at(`${name}.jsonl`)], {
      timeoutMs: 90_000,
    });
    if (code === undefined) waited.push(name);
  }
  return {
    ok: judged === 0 && waited.length === 0,
    figures: `${inputs.length} links and playlists that lead to other files: ${judged} images behind them judged; ${waited.length} of ${pipes.length} pipes waited for`,
  };
}
