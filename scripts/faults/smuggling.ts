import { type Outcome, openRaw, post, type Stage, sleep } from './target.ts';

const hidden = 'GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n';
const request = (headers: string, body = '') =>
  `POST /inspect HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n${headers}\r\n${body}`;

/** Requests that two servers could read differently. The hidden one must never be seen as a request. */
const cases: Record<string, string> = {
  'length and chunks': request(`content-length: 6\r\ntransfer-encoding: chunked\r\n`, `0\r\n\r\n${hidden}`),
  'chunks and length': request(`transfer-encoding: chunked\r\ncontent-length: 4\r\n`, `0\r\n\r\n${hidden}`),
  'two lengths': request('content-length: 0\r\ncontent-length: 40\r\n', hidden),
  'lengths in a list': request('content-length: 0, 40\r\n', hidden),
  'length with a sign': request('content-length: +0\r\n', hidden),
  'length in hex': request('content-length: 0x0\r\n', hidden),
  'space before the colon': request('transfer-encoding : chunked\r\ncontent-length: 5\r\n', `0\r\n\r\n${hidden}`),
  'unknown coding': request('transfer-encoding: xchunked\r\n', `0\r\n\r\n${hidden}`),
  'coding twice': request('transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n', `0\r\n\r\n${hidden}`),
  'coding that does not end in chunks': request('transfer-encoding: chunked, gzip\r\n', `0\r\n\r\n${hidden}`),
  'folded header': request('transfer-encoding:\r\n chunked\r\ncontent-length: 5\r\n', `0\r\n\r\n${hidden}`),
  'bare line feeds': `POST /inspect HTTP/1.1\nhost: x\ncontent-length: 0\n\n${hidden}`,
  'bare carriage return': request('x-a: b\rtransfer-encoding: chunked\r\ncontent-length: 5\r\n', `0\r\n\r\n${hidden}`),
  'chunk size with rubbish': request('transfer-encoding: chunked\r\n', `0x\r\n\r\n${hidden}`),
  'negative chunk': request('transfer-encoding: chunked\r\n', `-1\r\n\r\n${hidden}`),
  'chunk that is too large': request('transfer-encoding: chunked\r\n', `fffffffffffffffff\r\n${hidden}`),
  'chunk without its end': request('transfer-encoding: chunked\r\n', `1\r\nxx${hidden}`),
  'zero byte in a header': request('x-a: \0b\r\n', hidden),
  'a header of 100 KB': request(`x-a: ${'a'.repeat(100_000)}\r\n`, hidden),
  'two hosts': `POST /inspect HTTP/1.1\r\nhost: x\r\nhost: y\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
};

export async function run(stage: Stage): Promise<Outcome> {
  const target = await stage.start();
  const wrong: string[] = [];
  for (const [name, text] of Object.entries(cases)) {
    const raw = await openRaw(target.url);
    raw.socket.write(text, 'latin1');
    for (let i = 0; i < 60 && raw.closedAfterMs === undefined; i++) await sleep(25);
    // Refused, and the connection closed: what stands behind it is never read as a request.
    if (!/^HTTP\/1\.1 4\d\d /.test(raw.received) || raw.closedAfterMs === undefined) wrong.push(name);
    raw.socket.destroy();
  }
  await post(target.url, stage.frame); // so that the log is up to date
  await sleep(200);
  const smuggled = target.log
    .split('\n')
    .filter((line) => line.includes('"route":null') || line.includes('/smuggled')).length;
  target.kill('SIGKILL');
  return {
    ok: wrong.length === 0 && smuggled === 0,
    figures: `${Object.keys(cases).length} ambiguous requests, ${smuggled} hidden ones seen${wrong.length > 0 ? `, not refused: ${wrong.join(', ')}` : ', all refused'}`,
  };
}
