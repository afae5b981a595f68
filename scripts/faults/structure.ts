import { fileURLToPath } from 'node:url';
import { writeFrame } from '../../src/gate/bodies/grpcframes.ts';
import { writeContent } from '../../src/gate/bodies/protobuf.ts';
import { checkMethod, inferMethod, RawClient, strangeMethod } from '../../test/fixtures/grpc.ts';
import { type Outcome, post, type Stage, sleep, type Target } from './target.ts';

const hook = fileURLToPath(new URL('./turns.hook.ts', import.meta.url));
const MiB = 1024 * 1024;
/** Length of every body: just below the limit of the service. */
const length = 31 * MiB;
const fill = (start: string, piece: string, end: string) =>
  Buffer.concat([Buffer.from(start), Buffer.alloc(length - start.length - end.length, piece), Buffer.from(end)]);

const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'multipart/form-data; boundary=x' };
const binaryHead = '{"inputs":[{"name":"a","datatype":"BYTES","shape":[7],"parameters":{"binary_data_size":SIZE}}]}';

function manyKeys(): Buffer {
  const keys: string[] = [];
  for (let i = 0, size = 0; size < length - 100; size += keys[i++].length + 1) keys.push(`"k${i}":1`);
  return Buffer.from(`{${keys.join(',')}}`);
}

function nestedBytes(): Buffer {
  const head = binaryHead.replace('SIZE', String(length));
  return Buffer.concat([Buffer.from(head), Buffer.alloc(length)]);
}

/** Bodies of which the structure costs more than the bytes. */
const bodies: Record<string, { path: string; headers: Record<string, string>; make(): Buffer }> = {
  'many keys': { path: 'json', headers: json, make: manyKeys },
  'the same key': { path: 'json', headers: json, make: () => fill('{"a":1', ',"a":1', '}') },
  'deep arrays': { path: 'json', headers: json, make: () => fill('', '[', '') },
  'deep objects': { path: 'json', headers: json, make: () => fill('', '{"a":', '') },
  'empty objects': { path: 'json', headers: json, make: () => fill('[{}', ',{}', ']') },
  'empty arrays': { path: 'json', headers: json, make: () => fill('[[]', ',[]', ']') },
  'small arrays': { path: 'json', headers: json, make: () => fill('[[1]', ',[1]', ']') },
  'small arrays in arrays': { path: 'json', headers: json, make: () => fill('[[[1]]', ',[[1]]', ']') },
  'pixels in brackets': { path: 'json', headers: json, make: () => fill('{"instances":[[1,2,3]', ',[1,2,3]', ']}') },
  'small numbers': { path: 'json', headers: json, make: () => fill('{"instances":[0', ',0', ']}') },
  floats: { path: 'json', headers: json, make: () => fill('{"instances":[0.1', ',-0.123e-5', ']}') },
  'one number': { path: 'json', headers: json, make: () => fill('', '1', '') },
  'small texts': { path: 'json', headers: json, make: () => fill('[""', ',""', ']') },
  'texts among numbers': { path: 'json', headers: json, make: () => fill('[1', ',"a",1', ']') },
  'one long text': { path: 'json', headers: json, make: () => fill('{"image":"', 'A', '"}') },
  'one long text with spaces': { path: 'json', headers: json, make: () => fill('{"image":"', 'A ', '"}') },
  'a text of escapes': { path: 'json', headers: json, make: () => fill('{"image":"', '\\/', '"}') },
  'a text of long escapes': { path: 'json', headers: json, make: () => fill('{"image":"', '\\u0041', '"}') },
  'a text of quotation marks': { path: 'json', headers: json, make: () => fill('{"image":"', '\\"', '"}') },
  'a text of backslashes': { path: 'json', headers: json, make: () => fill('{"image":"', '\\', '"}') },
  'a text of words': { path: 'json', headers: json, make: () => fill('{"text":"', 'some words ', '"}') },
  'white space': { path: 'json', headers: json, make: () => fill('', ' ', '{}') },
  'tiny parts': { path: 'form', headers: form, make: () => fill('--x\r\n\r\n', '\r\n--x\r\n\r\n', '\r\n--x--') },
  'many headers of a part': { path: 'form', headers: form, make: () => fill('--x\r\n', 'a: b\r\n', '\r\n\r\n--x--') },
  'one long header': { path: 'form', headers: form, make: () => fill('--x\r\na: ', 'b', '\r\n\r\n\r\n--x--') },
  'almost boundaries': { path: 'form', headers: form, make: () => fill('--x\r\n\r\n', '\r\n-', '\r\n--x--') },
  'nested BYTES': {
    path: 'binary',
    headers: { 'inference-header-content-length': String(binaryHead.replace('SIZE', String(length)).length) },
    make: nestedBytes,
  },
  'fields in the encoding of URLs': {
    path: 'form',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    make: () => fill('a=b', '&a=b', ''),
  },
  'escapes in the encoding of URLs': {
    path: 'form',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    make: () => fill('a=', '%41', ''),
  },
};
const paths: Record<string, string[]> = {
  json: ['/inspect', '/ext-authz/classify', '/ext-authz/v1/models/m:predict', '/ext-authz/v2/models/m/infer'],
  form: ['/inspect', '/ext-authz/classify'],
  binary: ['/ext-authz/v2/models/m/infer'],
};

/** A field of an input of the Open Inference Protocol: its content, for 10 million pixels. */
function tensor(datatype: string, contents: Buffer): Buffer {
  const shape = writeContent(3, Buffer.from([1, 0xa0, 0x1f, 0xc4, 0x13, 3]));
  const input = [writeContent(1, 'i'), writeContent(2, datatype), shape, writeContent(5, contents)];
  return writeContent(5, Buffer.concat(input));
}
const repeat = (field: Buffer) => Buffer.alloc(Math.floor((length - 1000) / field.length) * field.length, field);

/** Messages of gRPC of the same kind, about which Envoy asks over gRPC. */
const messages: Record<string, { method: string; make(): Buffer }> = {
  'pixels as varints': {
    method: inferMethod,
    make: () => tensor('UINT8', writeContent(4, Buffer.alloc(4000 * 2500 * 3, 7))),
  },
  'many texts': { method: strangeMethod, make: () => repeat(writeContent(1, 'some words '.repeat(70))) },
  'one text': { method: strangeMethod, make: () => writeContent(1, Buffer.alloc(length - 1000, 'some words ')) },
  'many small fields': { method: strangeMethod, make: () => repeat(writeContent(1, 'a')) },
  'messages in messages': {
    method: strangeMethod,
    make() {
      let inner: Buffer = repeat(writeContent(1, 'some words '.repeat(130)));
      for (let depth = 0; depth < 30; depth++) inner = writeContent(1, inner);
      return inner;
    },
  },
};

/** The question of Envoy about a message. */
function askAbout(method: string, message: Buffer): Buffer {
  const header = writeContent(3, Buffer.concat([writeContent(1, 'content-type'), writeContent(2, 'application/grpc')]));
  const fields = [writeContent(2, 'POST'), header, writeContent(4, method), writeContent(12, writeFrame(message))];
  return writeContent(1, writeContent(4, writeContent(2, Buffer.concat(fields))));
}

interface Cost {
  status: number;
  /** Processor time of the longest turn of the event loop, in milliseconds. */
  longest: number;
  /** By how much the memory of the process grew at most, in bytes. */
  grown: number;
}

/** What one request cost the process that answers; undefined where it ended it. @param ask sends it, and gives the status */
async function measure(target: Target, ask: () => Promise<number>) {
  const seen = target.log.length;
  const findTurns = () => /"turns":(\{[^}]*\})/.exec(target.log.slice(seen))?.[1];
  target.kill('SIGUSR2');
  const status = await ask();
  target.kill('SIGUSR2');
  let hasEnded = false;
  void target.exit.then(() => {
    hasEnded = true;
  });
  while (findTurns() === undefined && !hasEnded) await sleep(10);
  const turns = findTurns();
  return turns === undefined ? undefined : ({ status, ...JSON.parse(turns) } as Cost);
}

/** Longest turn of the event loop, and growth of the memory in bodies, that are allowed. */
const bounds = { longest: 50, bodies: 2 };

/** Bodies whose structure is made to cost: none holds the loop that answers everybody, or takes more memory than two of it. */
export async function run(stage: Stage): Promise<Outcome> {
  const routes = JSON.stringify([{ path: '/classify', protocol: 'image' }]);
  const gate = ['--mode', 'enforce', '--on-error', 'closed', '--routes', routes, '--verdict-timeout-ms', '60000'];
  const args = [...gate, '--grpc-port', '0', '--threads', '1', '--max-wait-ms', '60000', '--log-level', 'fatal'];
  const start = () => stage.start({ args, env: { NODE_OPTIONS: `--import=${hook}` } });
  let target = await start();
  const wrong: string[] = [];
  const worst = { longest: 0, bodies: 0 };
  let requests = 0;
  const check = (name: string, url: string, body: Buffer, cost: Cost) => {
    const used = cost.grown / body.length;
    if (cost.status >= 500 || cost.longest > bounds.longest || used > bounds.bodies) {
      wrong.push(`${name} at ${url}: ${cost.status}, ${cost.longest.toFixed(0)} ms, ${used.toFixed(1)} bodies`);
    }
    worst.longest = Math.max(worst.longest, cost.longest);
    worst.bodies = Math.max(worst.bodies, used);
  };
  for (const [name, { path, headers, make }] of Object.entries(bodies).slice(0, stage.count)) {
    const body = make();
    // What is compiled at first is compiled before anything is measured.
    for (const url of paths[path]) await post(target.url, body.subarray(0, MiB), headers, url);
    for (const url of paths[path]) {
      requests += 1;
      const cost = await measure(target, async () => (await post(target.url, body, headers, url)).status);
      if (cost === undefined) {
        wrong.push(`${name} at ${url} ends the process`);
        target = await start();
        continue;
      }
      check(name, url, body, cost);
    }
  }
  for (const [name, { method, make }] of Object.entries(messages)) {
    const [grpc] = /grpc:\/\/[\d.]+:\d+/.exec(target.log) ?? [];
    // Earlier versions do not speak it.
    if (grpc === undefined) break;
    const client = new RawClient(grpc);
    const message = make();
    const asked = askAbout(method, message);
    await client.call(checkMethod, [askAbout(method, message.subarray(0, MiB))]);
    requests += 1;
    const cost = await measure(target, async () => ((await client.call(checkMethod, [asked])).code === 0 ? 200 : 500));
    client.close();
    if (cost) check(name, method, asked, cost);
    else {
      wrong.push(`${name} in a message ends the process`);
      target = await start();
    }
  }
  target.kill('SIGKILL');
  return {
    ok: wrong.length === 0,
    figures:
      `${requests} bodies of 31 MiB, the loop held for ${worst.longest.toFixed(0)} ms at most, ` +
      `memory grew by ${worst.bodies.toFixed(1)} bodies at most` +
      (wrong.length > 0 ? `; ${wrong.length} beyond: ${wrong.slice(0, 12).join('; ')}` : ''),
  };
}
