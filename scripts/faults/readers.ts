import { countDescriptors, type Outcome, openRaw, readMemory, type Stage, sleep } from './target.ts';

/** Clients that ask for much and read nothing: what is written for them must not pile up, and they are cut off. */
export async function run(stage: Stage): Promise<Outcome> {
  const sockets = stage.count ?? 100;
  const args = ['--headers-timeout-ms', '500', '--request-timeout-ms', '1000', '--max-wait-ms', '0'];
  const target = await stage.start({ args });
  const [memory, descriptors] = [readMemory(target.pid), countDescriptors(target.pid)];
  const readers = await Promise.all(Array.from({ length: sockets }, () => openRaw(target.url)));
  for (const { socket } of readers) {
    socket.pause();
    // 40 KB each: 16 MB for each reader, all asked for at once.
    socket.write('GET /statistics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(400));
  }
  let peak = memory;
  // Idle sockets are closed 10 s after their request could have ended.
  for (let i = 0; i < 140 && countDescriptors(target.pid) > descriptors + 5; i++) {
    peak = Math.max(peak, readMemory(target.pid));
    await sleep(100);
  }
  const left = countDescriptors(target.pid) - descriptors;
  for (const { socket } of readers) socket.destroy();
  target.kill('SIGKILL');
  return {
    ok: left <= 5 && peak <= 512,
    figures: `${sockets} readers that do not read: ${Math.max(0, left)} left after 14 s, ${Math.round(memory)} MB before, at most ${Math.round(peak)} MB`,
  };
}
