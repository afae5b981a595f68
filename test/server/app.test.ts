import fc from 'fast-check';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import type { Static } from 'typebox';
import Value from 'typebox/value';
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { errorTable } from '../../src/errors.ts';
import { statistics } from '../../src/image/statistics/statistics.ts';
import { describeProfile } from '../../src/profile/description.ts';
import type { Verdict } from '../../src/profile/verdict.ts';
import { createPool, type Pool } from '../../src/run/pool.ts';
import { buildApp } from '../../src/server/app.ts';
import { refusalSchema, verdictSchema } from '../../src/server/http/schemas.ts';
import { Judge } from '../../src/server/judge.ts';
import type { Config } from '../../src/settings.ts';
import { fitReference, type Reference } from '../fixtures/reference.ts';

let reference: Reference;
let pool: Pool;
let app: FastifyInstance;

function makeConfig(flags: Partial<Config> = {}): Config {
  return loadConfig({ env: {}, flags: { logLevel: 'silent', ...flags } }).config;
}

beforeAll(async () => {
  reference = await fitReference();
  pool = await createPool({ profile: reference.profilePath, threads: 1, maxWaitMs: 1000 });
  app = await buildApp(makeConfig({ bodyLimit: 200_000 }), new Judge({ pool, profile: reference.profile }));
  await pool.ready();
});
afterAll(async () => {
  await app.close();
  await pool.close();
  await reference.remove();
});

const jpeg = { 'content-type': 'image/jpeg' };

function post(payload: Uint8Array | string | undefined, headers: Record<string, string> = jpeg) {
  const body = payload === undefined || typeof payload === 'string' ? payload : Buffer.from(payload);
  return app.inject({ method: 'POST', url: '/inspect', headers, ...(body !== undefined && { payload: body }) });
}

function form(parts: { name: string; filename?: string; content: Uint8Array | string }[]) {
  const boundary = 'stopline-test-boundary';
  const chunks = parts.flatMap(({ name, filename, content }) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"`),
    Buffer.from(filename === undefined ? '\r\n\r\n' : `; filename="${filename}"\r\nContent-Type: image/png\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ]);
  const body = Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)]);
  return { body, headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } };
}

function withoutTiming(response: LightMyRequestResponse): Omit<Verdict, 'timingMs'> {
  expect(response.statusCode, response.body).toBe(200);
  const { timingMs: _, ...verdict } = response.json<Verdict>();
  return verdict;
}

describe('POST /inspect', () => {
  it('answers with the documented Verdict and repeats it in a header', async () => {
    const response = await post(reference.frame);
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    const verdict = response.json<Verdict>();
    expect([...Value.Errors(verdictSchema, verdict)]).toEqual([]);
    expect(response.headers['x-stopline-verdict']).toBe(verdict.verdict);
    expect(verdict.image).toMatchObject({ format: 'jpeg', width: 320, height: 180, bytes: reference.frame.length });
    expect(verdict.profile).toEqual({ name: 'test-camera', sha256: reference.profile.sha256 });
    expect(Object.keys(verdict.statistics)).toEqual(statistics.map(({ name }) => name));
  });

  it('takes a source from the header or the address, and refuses one that is no plain name', async () => {
    expect((await post(reference.frame, { ...jpeg, 'x-stopline-source': 'front.left:1' })).statusCode).toBe(200);
    for (const source of ['', 'a b', 'a/../b', '<img>', 'x'.repeat(129)]) {
      const response = await post(reference.frame, { ...jpeg, 'x-stopline-source': source });
      expect(response.statusCode, source).toBe(400);
      expect(response.json().error.code).toBe('STOPLINE_ERR_REQUEST_INVALID');
    }
    const url = '/inspect?source=a%20b';
    const response = await app.inject({ method: 'POST', url, headers: jpeg, payload: Buffer.from(reference.frame) });
    expect(response.statusCode).toBe(400);
    expect(response.json().error.message).toContain('"a b"');
  });

  it('gives the same verdict whichever way the image comes, and whatever its type is called', async () => {
    const { frame } = reference;
    const base64 = Buffer.from(frame).toString('base64');
    const json = { 'content-type': 'application/json' };
    const upload = form([
      { name: 'note', content: 'rear window' },
      { name: 'image', filename: '../../etc/passwd', content: frame },
    ]);
    const direct = withoutTiming(await post(frame));
    const others = [
      await post(frame, { 'content-type': 'application/octet-stream' }),
      await post(frame, { 'content-type': 'IMAGE/PNG; charset=x' }),
      await post(frame, {}),
      await post(JSON.stringify({ image: base64 }), json),
      await post(JSON.stringify({ image: `data:image/jpeg;base64,${base64}` }), json),
      await post(JSON.stringify({ image: base64.replace(/.{76}/g, '$&\n') }), json),
      await post(upload.body, upload.headers),
    ];
    for (const response of others) expect(withoutTiming(response)).toEqual(direct);
  });

  it.each(['binary/octet-stream', 'application/x-octet-stream', 'application/binary', 'image/x-unknown'])(
    'takes %s as a body that is the image',
    async (type) => {
      expect((await post(reference.frame, { 'content-type': type })).json().verdict).toBe('pass');
    },
  );

  /** A form of one part, with the lines of its head as given. */
  function rawForm(head: string[], content: Uint8Array | string, end = '\r\n') {
    const start = [`--x`, ...head, '', ''].join(end);
    const body = Buffer.concat([Buffer.from(start), Buffer.from(content), Buffer.from(`${end}--x--${end}`)]);
    return post(body, { 'content-type': 'multipart/form-data; boundary=x' });
  }
  const name = 'Content-Disposition: form-data; name="image"';
  it.each([
    ['a name only', [name], '\r\n'],
    ['a name and a type', [name, 'Content-Type: image/jpeg'], '\r\n'],
    ['a name and a type that says nothing', [name, 'Content-Type: application/octet-stream'], '\r\n'],
    ['line feeds for line ends', [name], '\n'],
    ['a type and no name', ['Content-Type: image/jpeg'], '\r\n'],
    ['no headers at all', [], '\r\n'],
    ['a name called __proto__', ['Content-Disposition: form-data; name="__proto__"; filename="a"'], '\r\n'],
  ])('finds the image in a part with %s', async (_, head, end) => {
    expect((await rawForm(head, reference.frame, end)).json().verdict).toBe('pass');
  });

  it('finds base64 in a part, by its header and by itself', async () => {
    const text = Buffer.from(reference.frame).toString('base64');
    expect((await rawForm([name, 'Content-Transfer-Encoding: base64'], text)).json().verdict).toBe('pass');
    expect((await rawForm([name], `data:image/jpeg;base64,${text}`)).json().verdict).toBe('pass');
  });

  it('names a field of JSON that it does not know, in words of its own', async () => {
    const { error } = (
      await post('{"image": "aGVsbG8=", "camera": "7"}', { 'content-type': 'application/json' })
    ).json();
    expect(error.message).toBe(
      'Expected JSON of the form {"image": "<base64>"} but received the field "camera", where "image" is the only one.',
    );
  });

  const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const json = { 'content-type': 'application/json' };
  const bad: [string, () => [Uint8Array | string | undefined, Record<string, string>?], number, string][] = [
    ['no body', () => [undefined], 400, 'IMAGE_EMPTY'],
    ['no body and no type', () => [undefined, {}], 400, 'IMAGE_EMPTY'],
    ['an empty body', () => ['', { 'content-type': 'image/png' }], 400, 'IMAGE_EMPTY'],
    ['an empty JSON body', () => ['', json], 400, 'IMAGE_EMPTY'],
    ['an empty image in JSON', () => ['{"image": ""}', json], 400, 'IMAGE_EMPTY'],
    ['text called an image', () => ['hello, this is no image'], 415, 'IMAGE_UNSUPPORTED'],
    ['an SVG called a JPEG', () => ['<svg xmlns="http://www.w3.org/2000/svg"/>'], 415, 'IMAGE_UNSUPPORTED'],
    ['half a JPEG', () => [reference.frame.subarray(0, reference.frame.length / 2)], 422, 'IMAGE_TRUNCATED'],
    ['only the magic bytes of a PNG', () => [png], 422, 'IMAGE_TRUNCATED'],
    ['a body over the limit', () => [new Uint8Array(200_001)], 413, 'REQUEST_TOO_LARGE'],
    ['form-encoded text', () => ['a=b', { 'content-type': 'application/x-www-form-urlencoded' }], 415, 'REQUEST_TYPE'],
    ['text', () => ['a', { 'content-type': 'text/plain' }], 415, 'REQUEST_TYPE'],
    ['a broken type', () => ['a', { 'content-type': 'image' }], 415, 'REQUEST_TYPE'],
    ['gzip', () => [reference.frame, { ...jpeg, 'content-encoding': 'gzip' }], 415, 'REQUEST_TYPE'],
    ['broken JSON', () => ['{"image": ', json], 400, 'REQUEST_INVALID'],
    ['JSON of another form', () => ['[1, 2]', json], 400, 'REQUEST_INVALID'],
    ['JSON without image', () => ['{"picture": "aGVsbG8="}', json], 400, 'REQUEST_INVALID'],
    ['JSON with more than image', () => ['{"image": "aGVsbG8=", "x": 1}', json], 400, 'REQUEST_INVALID'],
    ['JSON that is not base64', () => ['{"image": "this is * not base64"}', json], 400, 'REQUEST_INVALID'],
    ['JSON with __proto__', () => ['{"__proto__": {"image": "aGVsbG8="}}', json], 400, 'REQUEST_INVALID'],
  ];
  it.each(bad)('refuses %s', async (_, request, status, name) => {
    const response = await post(...request());
    expect(response.json()).toEqual({ error: { code: `STOPLINE_ERR_${name}`, message: expect.any(String) } });
    expect(response.statusCode).toBe(status);
    expect(Value.Check(refusalSchema, response.json())).toBe(true);
    expect(response.json().error.message).toMatch(/^Expected .* but /);
  });

  const frame = () => reference.frame;
  const badForms: [string, () => ReturnType<typeof form>, number, string][] = [
    ['without a file', () => form([{ name: 'image', content: 'text' }]), 400, 'REQUEST_INVALID'],
    ['with an empty file', () => form([{ name: 'image', filename: 'a.jpg', content: '' }]), 400, 'IMAGE_EMPTY'],
    [
      'with two files',
      () =>
        form([
          { name: 'a', filename: 'a.jpg', content: frame() },
          { name: 'b', filename: 'b.jpg', content: frame() },
        ]),
      400,
      'REQUEST_INVALID',
    ],
    [
      'with more than 300 parts',
      () =>
        form([
          ...Array.from({ length: 300 }, (_, i) => ({ name: `f${i}`, content: 'x' })),
          { name: 'image', filename: 'a.jpg', content: frame() },
        ]),
      413,
      'REQUEST_TOO_LARGE',
    ],
    [
      'that ends in the middle of the file',
      () => {
        const { body, headers } = form([{ name: 'image', filename: 'a.jpg', content: frame() }]);
        return { body: body.subarray(0, body.length / 2), headers };
      },
      400,
      'REQUEST_INVALID',
    ],
    [
      'without a boundary',
      () => ({ ...form([]), headers: { 'content-type': 'multipart/form-data' } }),
      400,
      'REQUEST_INVALID',
    ],
  ];
  it.each(badForms)('refuses a form %s', async (_, make, status, name) => {
    const { body, headers } = make();
    const response = await post(body, headers);
    expect(response.json().error?.code).toBe(`STOPLINE_ERR_${name}`);
    expect(response.statusCode).toBe(status);
  });

  it('answers any bytes under any content type with a coded refusal of the 4xx kind', async () => {
    const types = fc.oneof(
      fc.constantFrom('image/jpeg', 'application/json', 'multipart/form-data; boundary=x', 'multipart/form-data'),
      fc.string({ maxLength: 40 }).map((text) => text.replace(/[^\x21-\x7e]/g, '-') || 'x'),
    );
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.base64String().map((image) => Buffer.from(JSON.stringify({ image }))),
      fc.string().map((text) => Buffer.from(`--x\r\nContent-Disposition: form-data; ${text}\r\n\r\n${text}\r\n--x--`)),
    );
    await fc.assert(
      fc.asyncProperty(types, bodies, async (type, body) => {
        const response = await post(body, { 'content-type': type });
        expect([400, 413, 415, 422]).toContain(response.statusCode);
        expect(response.json().error.code).toMatch(/^STOPLINE_ERR_(IMAGE|REQUEST)_/);
      }),
      { numRuns: 300 },
    );
  });

  it('tells users of curl what to add', async () => {
    const { error } = (await post('a=b', { 'content-type': 'application/x-www-form-urlencoded' })).json();
    expect(error.message).toMatch(
      /received application\/x-www-form-urlencoded\. With curl add: -H 'content-type: image\/jpeg'$/,
    );
  });

  it('goes on judging after all of that', async () => {
    expect((await post(reference.frame)).statusCode).toBe(200);
  });
});

describe('limits', () => {
  it('refuses images above the limits of the config', async () => {
    const small = await createPool({
      profile: reference.profilePath,
      threads: 1,
      limits: { maxPixels: 320 * 180 - 1 },
    });
    const tight = await buildApp(makeConfig(), new Judge({ pool: small, profile: reference.profile }));
    const payload = Buffer.from(reference.frame);
    const response = await tight.inject({ method: 'POST', url: '/inspect', headers: jpeg, payload });
    expect(response.json().error.code).toBe('STOPLINE_ERR_IMAGE_TOO_MANY_PIXELS');
    expect(response.statusCode).toBe(422);
    await tight.close();
    await small.close();
  });
});

describe('request ids', () => {
  const withId = (id: string) => app.inject({ url: '/health/live', headers: { 'x-request-id': id } });

  it('are made here unless the header is trusted', async () => {
    expect((await withId('abc')).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('come from a trusted header when they are harmless', async () => {
    const trusting = await buildApp(
      makeConfig({ trustedRequestId: true }),
      new Judge({ pool, profile: reference.profile }),
    );
    const readId = async (id: string) =>
      (await trusting.inject({ url: '/health/live', headers: { 'x-request-id': id } })).headers['x-request-id'];
    expect(await readId('trace-1.2:3')).toBe('trace-1.2:3');
    expect(await readId('two words')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await readId('x'.repeat(129))).toMatch(/^[0-9a-f-]{36}$/);
    await trusting.close();
  });
});

describe('GET routes', () => {
  it('/profile describes the profile without its tensors', async () => {
    const body = (await app.inject('/profile')).json();
    expect(body).toEqual(JSON.parse(JSON.stringify(describeProfile(reference.profile))));
    expect(body.tensors).toBeUndefined();
  });

  it('/statistics is the table', async () => {
    const rows = (await app.inject('/statistics')).json();
    expect(rows).toMatchObject(JSON.parse(JSON.stringify(statistics)));
    expect(rows).toHaveLength(statistics.length);
    for (const { label, unitMeaning } of rows) expect([typeof label, typeof unitMeaning]).toEqual(['string', 'string']);
    expect(rows.find(({ name }: { name: string }) => name === 'lumaP50').label).toBe('Median brightness');
  });

  it('/health/live and /health/ready answer once the workers are ready', async () => {
    expect((await app.inject('/health/live')).json()).toEqual({ live: true });
    expect((await app.inject('/health/ready')).json()).toEqual({ ready: true });
  });

  it('/health/ready says why not while the workers start, and when they cannot', async () => {
    const starting = await createPool({ profile: reference.profilePath, threads: 1 });
    // Workers start within milliseconds; here they are ready when the test has looked.
    let look: () => void = () => undefined;
    const looked = new Promise<void>((resolve) => {
      look = resolve;
    });
    const held = new Proxy(starting, {
      get(pool, name) {
        if (name === 'ready') return () => looked.then(() => pool.ready());
        const value = Reflect.get(pool, name);
        return typeof value === 'function' ? value.bind(pool) : value;
      },
    });
    const early = await buildApp(makeConfig(), new Judge({ pool: held, profile: reference.profile }));
    const response = await early.inject('/health/ready');
    expect([response.statusCode, response.json()]).toEqual([503, { ready: false, reason: 'starting' }]);
    look();
    await held.ready();
    await expect.poll(async () => (await early.inject('/health/ready')).statusCode).toBe(200);
    await early.close();
    await starting.close();

    const broken = await createPool({ profile: reference.profile, blockWhen: 'no rule', threads: 1 });
    const failed = await buildApp(makeConfig(), new Judge({ pool: broken, profile: reference.profile }));
    await expect(broken.ready()).rejects.toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    expect((await failed.inject('/health/ready')).json()).toEqual({ ready: false, reason: 'failed' });
    await failed.close();
    await broken.close();
  });

  it('refuses routes that do not exist and paths that are broken', async () => {
    const unknown = await app.inject('/inspected');
    expect([unknown.statusCode, unknown.json().error.code]).toEqual([404, 'STOPLINE_ERR_ROUTE_UNKNOWN']);
    const wrong = [
      await app.inject('/inspect'),
      await app.inject({
        method: 'PUT',
        url: '/inspect?source=a',
        headers: jpeg,
        payload: Buffer.from(reference.frame),
      }),
      await app.inject({ method: 'DELETE', url: '/drift/front' }),
    ];
    expect(wrong.map(({ statusCode, headers }) => [statusCode, headers.allow])).toEqual([
      [405, 'POST'],
      [405, 'POST'],
      [405, 'GET, HEAD'],
    ]);
    expect(wrong[1].json().error).toEqual({
      code: 'STOPLINE_ERR_METHOD_UNKNOWN',
      message: 'Expected POST for /inspect but received PUT.',
    });
    const broken = await app.inject('/%zz');
    expect([broken.statusCode, broken.json().error.code]).toEqual([400, 'STOPLINE_ERR_REQUEST_INVALID']);
  });
});

describe('GET /metrics', () => {
  it('counts verdicts, refusals, stages and requests under bounded labels', async () => {
    const fresh = await buildApp(makeConfig(), new Judge({ pool, profile: reference.profile }));
    const payload = Buffer.from(reference.frame);
    const { verdict } = (
      await fresh.inject({ method: 'POST', url: '/inspect', headers: jpeg, payload })
    ).json<Verdict>();
    await fresh.inject({ method: 'POST', url: '/inspect', headers: jpeg, payload: 'not an image' });
    await fresh.inject('/secret-path-1');
    await fresh.inject('/secret-path-2');
    const response = await fresh.inject('/metrics');
    expect(response.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const lines = response.body.split('\n');
    for (const line of [
      `stopline_inspections_total{verdict="${verdict}"} 1`,
      'stopline_refusals_total{code="STOPLINE_ERR_IMAGE_UNSUPPORTED"} 1',
      'stopline_refusals_total{code="STOPLINE_ERR_ROUTE_UNKNOWN"} 2',
      'stopline_stage_duration_seconds_count{stage="decode"} 1',
      'stopline_stage_duration_seconds_count{stage="statistics"} 1',
      'stopline_stage_duration_seconds_count{stage="score"} 1',
      'stopline_request_duration_seconds_count{route="/inspect",status="200"} 1',
      'stopline_request_duration_seconds_count{route="/inspect",status="415"} 1',
      'stopline_request_duration_seconds_count{route="unknown",status="404"} 2',
      'stopline_p_value_count{detector="combined"} 1',
      'stopline_p_value_count{detector="statistics"} 1',
      'stopline_score_count{detector="combined"} 1',
      'stopline_buffered_bytes 0',
      'stopline_pool_queue_size 0',
      'stopline_pool_running 0',
      'stopline_pool_threads 1',
      'stopline_pool_expected_wait_seconds 0',
    ]) {
      expect(lines).toContain(line);
    }
    expect(response.body).toMatch(
      /^stopline_build_info\{version="\d+\.\d+\.\d+",core="(native|wasm)",simd="\w+",profile="[0-9a-f]{12}",decided_by="combined"\} 1$/m,
    );
    expect(response.body).toMatch(/^process_resident_memory_bytes \d+$/m);
    expect(response.body).toMatch(/^nodejs_eventloop_lag_p99_seconds [\d.e-]+$/m);
    expect(response.body).not.toContain('secret-path');
    await fresh.close();
  });
});

describe('GET /docs', () => {
  type Operation = {
    operationId?: string;
    summary?: string;
    requestBody?: { content: Record<string, unknown> };
    responses: Record<string, { description: string; content?: Record<string, { schema: object }>; headers?: object }>;
  };
  type Document = {
    openapi: string;
    paths: Record<string, Record<string, Operation>>;
    components: { schemas: object };
  };

  async function document(): Promise<Document> {
    return (await app.inject('/docs/json')).json();
  }

  /** From the tree that Fastify prints: the path of a line is that of its ancestors and its own. */
  function servedRoutes(): string[] {
    const ancestors: string[] = [];
    return app
      .printRoutes({ commonPrefix: false })
      .split('\n')
      .flatMap((line) => {
        const [, indent, part, methods] = /^([│ ]*)[├└]── (\S*)(?: \((.*)\))?/.exec(line) ?? [];
        if (part === undefined) return [];
        ancestors.splice(indent.length / 4, Number.POSITIVE_INFINITY, part);
        const path = ancestors.join('');
        return methods ? methods.split(', ').map((method) => `${method} ${path}`) : [];
      });
  }

  it('describes every route, once, with a name, a summary and its answers', async () => {
    const { openapi, paths } = await document();
    expect(openapi).toBe('3.1.0');
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    // The pages for people are no part of what programs call.
    const served = servedRoutes().filter((route) => !/^(HEAD|OPTIONS) | \/docs| \/ext-authz| \/\*?$/.test(route));
    expect(served).toContain('POST /inspect');
    const templates = served.map((route) => route.replace(/:(\w+)/g, '{$1}'));
    expect(described.sort()).toEqual(templates.sort());

    const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
    expect(new Set(operations.map((operation) => operation.operationId)).size).toBe(operations.length);
    for (const { operationId, summary, responses } of operations) {
      expect(operationId).toBeTypeOf('string');
      expect(summary).toBeTypeOf('string');
      for (const { description, content } of Object.values(responses)) {
        expect(description).not.toBe('Default Response');
        expect(content).toBeDefined();
      }
    }
  });

  it('resolves every reference inside the document', async () => {
    const whole = await document();
    const references = [...JSON.stringify(whole).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference);
    expect(new Set(references)).toEqual(
      new Set(
        ['Verdict', 'Refusal', 'Statistic', 'Readiness', 'DriftReport'].map((name) => `#/components/schemas/${name}`),
      ),
    );
    for (const name of ['Verdict', 'Refusal', 'Statistic', 'Readiness']) {
      expect(whole.components.schemas).toHaveProperty(name);
    }
  });

  it('describes the bodies and the refusals of POST /inspect', async () => {
    const { post: inspect } = (await document()).paths['/inspect'];
    expect(Object.keys(inspect.requestBody?.content ?? {})).toEqual([
      'image/*',
      'application/octet-stream',
      'multipart/form-data',
      'application/json',
    ]);
    const refused = ['400', '401', '403', '408', '413', '415', '421', '422', '429', '500', '503'];
    expect(Object.keys(inspect.responses)).toEqual(['200', ...refused]);
    expect(inspect.responses['200'].headers).toHaveProperty('x-stopline-verdict');
    expect(inspect.responses['503'].headers).toHaveProperty('Retry-After');
    for (const status of refused) {
      expect(inspect.responses[status].content?.['application/json'].schema).toEqual({
        $ref: '#/components/schemas/Refusal',
      });
    }
  });

  it('lists the statuses of all errors that an image or a request can meet', async () => {
    const { post: inspect } = (await document()).paths['/inspect'];
    const possible = errorTable.filter(({ code }) => /_(IMAGE|REQUEST)_|_(OVERLOADED|CLOSED|INTERNAL)$/.test(code));
    for (const { status } of possible) expect(Object.keys(inspect.responses)).toContain(String(status));
  });

  it('serves a page that shows it, from files of ours', async () => {
    const page = await app.inject('/docs');
    expect(page.statusCode).toBe(200);
    expect(page.body).toContain('swagger-ui');
    expect(page.body).not.toMatch(/(src|href)="https?:/);
    expect(page.headers['content-security-policy']).toMatch(/default-src 'self'/);
  });
});

describe('verdictSchema', () => {
  it('is the type that the library returns', () => {
    expectTypeOf<Verdict>().toExtend<Static<typeof verdictSchema>>();
  });
});
