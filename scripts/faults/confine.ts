import { readdirSync, readFileSync } from 'node:fs';
import { isReadyWithin, listChildren, type Outcome, type Stage } from './target.ts';

const secret = 'STOPLINE_ALERT_SECRET';

/** What a decoder that was taken over has: the rights of every thread of the processes that decode, and their environment. */
export async function run(stage: Stage): Promise<Outcome> {
  const target = await stage.start({ env: { [secret]: 'a secret of the service' } });
  const isReady = await isReadyWithin(target.url, 60_000);
  const children = listChildren(target.pid);
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return ''; // a process or thread that has just ended, or one that may not be looked into
    }
  };
  const threads = children.flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`).map((thread) => read(`/proc/${pid}/task/${thread}/status`)),
  );
  const confined = threads.filter(
    (status) => /^NoNewPrivs:\t1$/m.test(status) && /^Seccomp:\t2$/m.test(status) && /^CapEff:\t0+$/m.test(status),
  ).length;
  const knowing = children.filter((pid) => read(`/proc/${pid}/environ`).includes(secret)).length;
  target.kill('SIGKILL');
  return {
    ok: isReady && children.length > 0 && confined === threads.length && knowing === 0,
    figures: `${confined} of ${threads.length} threads of ${children.length} processes without rights, ${knowing} know the secret`,
  };
}
