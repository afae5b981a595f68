import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StoplineError } from '../../../src/errors.ts';
import type { FoundImages } from '../../../src/gate/protocols/protocol.ts';
import { protocolRoutes, protocols } from '../../../src/gate/protocols/protocols.ts';
import { createMatcher, plainPath } from '../../../src/gate/routes.ts';
import type { Frame } from '../../../src/image/frame.ts';
import type { Route } from '../../../src/settings.ts';

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
type Find = Partial<Pick<Route, 'input' | 'tensor'>>;

function find(
  protocol: keyof typeof protocols,
  body: Buffer,
  options: Find & { headers?: Record<string, string> } = {},
): Promise<FoundImages> {
  const { headers = {}, ...route } = options;
  return protocols[protocol].find({ body, headers }, route);
}
const oip = (body: Buffer, options?: Parameters<typeof find>[2]) => find('oip', body, options);

/** A binary OIP request of the given inputs. */
function binaryRequest(
  inputs: { name: string; shape: number[]; datatype: string; bytes: Buffer }[],
  head: object = {},
) {
  const text = json({
    ...head,
    inputs: inputs.map(({ bytes, ...input }) => ({ ...input, parameters: { binary_data_size: bytes.length } })),
  });
  return {
    body: Buffer.concat([text, ...inputs.map(({ bytes }) => bytes)]),
    headers: { 'inference-header-content-length': String(text.length) },
  };
}

function bytesTensor(...elements: string[]): Buffer {
  return Buffer.concat(
    elements.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );
}

async function readCode(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof StoplineError) return error.code.replace('STOPLINE_ERR_', '');
    throw error;
  }
  return 'none';
}

// Two images of 2x1 pixels: (1,2,3) (4,5,6) and (7,8,9) (10,11,12).
const nhwc = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
const nchw = [1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12];
const frames: Frame[] = [
  { data: Uint8Array.of(1, 2, 3, 4, 5, 6), width: 2, height: 1, channels: 3 },
  { data: Uint8Array.of(7, 8, 9, 10, 11, 12), width: 2, height: 1, channels: 3 },
];

describe('Open Inference Protocol', () => {
  const input = (shape: number[], data: unknown, more: object = {}) => ({
    name: 'image',
    datatype: 'UINT8',
    shape,
    data,
    ...more,
  });

  it.each([
    ['NHWC, flat', input([2, 1, 2, 3], nhwc), {}],
    [
      'NHWC, nested',
      input(
        [2, 1, 2, 3],
        [
          [
            [
              [1, 2, 3],
              [4, 5, 6],
            ],
          ],
          [
            [
              [7, 8, 9],
              [10, 11, 12],
            ],
          ],
        ],
      ),
      {},
    ],
    ['NCHW', input([2, 3, 1, 2], nchw), {}],
    [
      'BGR',
      input([2, 1, 2, 3], [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]),
      { tensor: { order: 'BGR' } satisfies Route['tensor'] },
    ],
    [
      'FP32 with a preprocessing to undo',
      input(
        [2, 3, 1, 2],
        nchw.map((value, i) => (value / 255 - [0.1, 0.2, 0.3][Math.floor(i / 2) % 3]) / 0.5),
        { datatype: 'FP32' },
      ),
      { tensor: { layout: 'NCHW', mean: [0.1, 0.2, 0.3], deviation: [0.5] } },
    ],
  ] as [string, object, Find][])('JSON tensors: %s', async (_, tensor, route) => {
    expect(
      (await oip(json({ inputs: [{ name: 'n', datatype: 'INT32', shape: [1], data: [1] }, tensor] }), route)).images,
    ).toEqual(frames);
  });

  it('one image without a batch is one image, HWC or CHW', async () => {
    expect((await oip(json({ inputs: [input([1, 2, 3], nhwc.slice(0, 6))] }))).images).toEqual([frames[0]]);
    expect((await oip(json({ inputs: [input([3, 1, 2], nchw.slice(0, 6))] }))).images).toEqual([frames[0]]);
  });

  it('BYTES hold encoded images: base64 in JSON, a length before each in binary', async () => {
    const data = ['one', 'two'].map((text) => Buffer.from(text).toString('base64'));
    const encoded = await oip(json({ id: '42', inputs: [input([2], data, { datatype: 'BYTES' })] }));
    expect(encoded.images.map(String)).toEqual(['one', 'two']);
    expect(encoded.id).toBe('42');
    const { body, headers } = binaryRequest([
      { name: 'image', datatype: 'BYTES', shape: [2, 1], bytes: bytesTensor('one', 'two') },
    ]);
    expect((await oip(body, { headers })).images.map(String)).toEqual(['one', 'two']);
  });

  it('the binary extension: UINT8 and FP32 tensors among others, wherever they start', async () => {
    const floats = Buffer.from(Float32Array.from(nhwc, (value) => value / 255).buffer);
    const { body, headers } = binaryRequest([
      { name: 'odd', datatype: 'UINT8', shape: [3], bytes: Buffer.from('abc') },
      { name: 'pixels', datatype: 'UINT8', shape: [2, 1, 2, 3], bytes: Buffer.from(nhwc) },
      { name: 'floats', datatype: 'FP32', shape: [2, 1, 2, 3], bytes: floats },
    ]);
    expect(
      (await oip(body, { headers })).images.map((image) => ({
        ...(image as Frame),
        data: Uint8Array.from((image as Frame).data),
      })),
    ).toEqual(frames);
    expect((await oip(body, { headers, input: 'floats', tensor: {} })).images).toEqual(frames);
  });

  it('leaves images out of a batch, and their rows of every other input', async () => {
    const labels = { name: 'label', datatype: 'INT32', shape: [3, 2], data: [1, 1, 2, 2, 3, 3] };
    const constant = { name: 'k', datatype: 'INT32', shape: [1], data: [7] };
    const data = ['a', 'b', 'c'].map((text) => Buffer.from(text).toString('base64'));
    const found = await oip(
      json({ id: 'x', inputs: [input([3], data, { datatype: 'BYTES' }), labels, constant], outputs: [{ name: 'o' }] }),
    );
    const rest = JSON.parse(String(found.without?.(new Set([1])).body));
    expect(rest).toMatchObject({ id: 'x', outputs: [{ name: 'o' }] });
    expect(rest.inputs).toEqual([
      { ...input([2], [data[0], data[2]], { datatype: 'BYTES' }) },
      { ...labels, shape: [2, 2], data: [1, 1, 3, 3] },
      constant,
    ]);

    const { body, headers } = binaryRequest([
      { name: 'image', datatype: 'BYTES', shape: [3], bytes: bytesTensor('a', 'bb', 'ccc') },
      { name: 'label', datatype: 'INT16', shape: [3, 1], bytes: Buffer.from([1, 0, 2, 0, 3, 0]) },
    ]);
    const binary = (await oip(body, { headers })).without?.(new Set([0, 1])) as {
      body: Buffer;
      headers: Record<string, string>;
    };
    const again = await oip(binary.body, { headers: binary.headers });
    expect(again.images.map(String)).toEqual(['ccc']);
    expect(binary.body.subarray(-2)).toEqual(Buffer.from([3, 0]));
  });

  const lying = binaryRequest([{ name: 'image', datatype: 'BYTES', shape: [1], bytes: bytesTensor('one') }]);
  const head = (length: string) => ({ headers: { 'inference-header-content-length': length } });
  it.each([
    ['no inputs', () => oip(json({})), 'REQUEST_INVALID'],
    ['inputs that are no list', () => oip(json({ inputs: { length: 1 } })), 'REQUEST_INVALID'],
    ['a list', () => oip(json([])), 'REQUEST_INVALID'],
    ['broken JSON', () => oip(Buffer.from('{"inputs": [')), 'REQUEST_INVALID'],
    [
      'FP32 that nobody described',
      () => oip(json({ inputs: [input([1, 2, 3], nhwc, { datatype: 'FP32' })] })),
      'UNINSPECTED',
    ],
    ['no image among the inputs', () => oip(json({ inputs: [input([2, 2], [1, 2, 3, 4])] })), 'UNINSPECTED'],
    [
      'an input of another name',
      () => oip(json({ inputs: [input([1, 2, 3], nhwc)] }), { input: 'pixels' }),
      'UNINSPECTED',
    ],
    ['fewer numbers than the shape says', () => oip(json({ inputs: [input([1, 2, 3], [1, 2])] })), 'REQUEST_INVALID'],
    ['more numbers than the shape says', () => oip(json({ inputs: [input([1, 2, 3], nhwc)] })), 'REQUEST_INVALID'],
    ['words for numbers', () => oip(json({ inputs: [input([1, 2, 3], ['1', 2, 3, 4, 5, 6])] })), 'REQUEST_INVALID'],
    ['a negative side', () => oip(json({ inputs: [input([-1, 2, 3], nhwc)] })), 'REQUEST_INVALID'],
    ['no images at all', () => oip(json({ inputs: [input([0, 1, 2, 3], [])] })), 'UNINSPECTED'],
    ['a huge batch', () => oip(json({ inputs: [input([1e9], [], { datatype: 'BYTES' })] })), 'REQUEST_TOO_LARGE'],
    [
      'text that is no base64',
      () => oip(json({ inputs: [input([1], ['**'], { datatype: 'BYTES' })] })),
      'REQUEST_INVALID',
    ],
    ['a header longer than the body', () => oip(lying.body, head('100000')), 'REQUEST_INVALID'],
    ['a header that is no number', () => oip(lying.body, head('-1')), 'REQUEST_INVALID'],
    [
      'bytes that no tensor claims',
      () => oip(Buffer.concat([lying.body, Buffer.from('x')]), { headers: lying.headers }),
      'REQUEST_INVALID',
    ],
    [
      'a tensor that claims more than there is',
      () => oip(lying.body.subarray(0, -1), { headers: lying.headers }),
      'REQUEST_INVALID',
    ],
    [
      'an element that is longer than its tensor',
      () => {
        const { body, headers } = binaryRequest([
          { name: 'a', datatype: 'BYTES', shape: [1], bytes: Buffer.from([255, 255, 255, 255, 1]) },
        ]);
        return oip(body, { headers });
      },
      'REQUEST_INVALID',
    ],
    ['a coding that is not read', () => oip(json({}), { headers: { 'content-encoding': 'compress' } }), 'REQUEST_TYPE'],
    ['what is not gzip', () => oip(json({}), { headers: { 'content-encoding': 'gzip' } }), 'REQUEST_INVALID'],
  ])('refuses %s', async (_, run, code) => {
    expect(await readCode(run)).toBe(code);
  });

  it('takes deep and huge nesting apart without falling over', async () => {
    const deep = Buffer.from(
      `{"inputs":[{"name":"a","datatype":"UINT8","shape":[1,1,3],"data":${'['.repeat(200_000)}${']'.repeat(200_000)}}]}`,
    );
    expect(await readCode(() => oip(deep))).toBe('REQUEST_TOO_LARGE');
    expect(await readCode(() => oip(Buffer.alloc(17 * 1024 * 1024, ' ')))).toBe('REQUEST_INVALID');
  });

  it('answers any bytes with images or a coded error', async () => {
    const leaf = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom('UINT8', 'BYTES', 'FP32'),
      fc.array(fc.nat(4), { maxLength: 5 }),
    );
    const tensor = fc.record(
      { name: leaf, datatype: leaf, shape: leaf, data: leaf, parameters: leaf },
      { requiredKeys: [] },
    );
    const message = fc.record(
      { inputs: fc.oneof(leaf, fc.array(tensor, { maxLength: 3 })), id: leaf },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(
        message,
        fc.option(fc.nat(200)),
        fc.uint8Array({ maxLength: 50 }),
        async (value, length, tail) => {
          const headers: Record<string, string> =
            length === null ? {} : { 'inference-header-content-length': String(length) };
          await readCode(() => oip(Buffer.concat([json(value), tail]), { headers, tensor: {} }));
        },
      ),
      { numRuns: 2000, seed: 6 },
    );
  });
});

describe('TensorFlow Serving and KServe v1', () => {
  const encoded = (text: string) => ({ b64: Buffer.from(text).toString('base64') });
  const images = async (body: object, options?: Find) =>
    (await find('tfserving', json(body), options)).images.map(String);

  it('finds base64 in rows and columns', async () => {
    expect(await images({ instances: [encoded('one'), encoded('two')] })).toEqual(['one', 'two']);
    expect(await images({ instances: [{ key: '1', image_bytes: encoded('one') }] })).toEqual(['one']);
    expect(await images({ instances: [{ mask: encoded('no'), image: encoded('one') }] }, { input: 'image' })).toEqual([
      'one',
    ]);
    expect(await images({ inputs: encoded('one') })).toEqual(['one']);
    expect(await images({ inputs: { key: [1, 2], image: [encoded('one'), encoded('two')] } })).toEqual(['one', 'two']);
  });

  it('leaves rows out', async () => {
    const body = { signature_name: 's', instances: [encoded('one'), encoded('two'), encoded('three')] };
    const { without } = await find('tfserving', json(body));
    expect(JSON.parse(String(without?.(new Set([0, 2])).body))).toEqual({
      signature_name: 's',
      instances: [encoded('two')],
    });
  });

  it('says what it cannot look at', async () => {
    expect(await readCode(() => images({ instances: [[[0.1, 0.2]]] }))).toBe('UNINSPECTED');
    expect(await readCode(() => images({ instances: [] }))).toBe('UNINSPECTED');
    expect(await readCode(() => images({ instances: [{ b64: '***' }] }))).toBe('REQUEST_INVALID');
    expect(await readCode(() => images({ __proto__: null, inputs: 3 }))).toBe('REQUEST_INVALID');
  });
});

describe('a plain image', () => {
  const frame = Buffer.from('bytes of an image');

  it('is the body, a file of a form, or base64 in JSON', async () => {
    expect((await find('image', frame, { headers: { 'content-type': 'image/png' } })).images).toEqual([frame]);
    expect((await find('image', frame)).images).toEqual([frame]);
    const form = new FormData();
    form.set('note', 'front');
    form.set('mask', new Blob(['mask']), 'mask.png');
    form.set('photo', new Blob([frame]), 'frame.jpg');
    const request = new Request('http://x', { method: 'POST', body: form });
    const headers = { 'content-type': request.headers.get('content-type') as string };
    const body = Buffer.from(await request.arrayBuffer());
    expect((await find('image', body, { headers })).images.map(String)).toEqual(['mask', String(frame)]);
    expect((await find('image', body, { headers, input: 'photo' })).images.map(String)).toEqual([String(frame)]);
    const text = { image: frame.toString('base64') };
    expect((await find('image', json(text), { headers: { 'content-type': 'application/json' } })).images).toEqual([
      frame,
    ]);
    expect(
      (
        await find('image', json({ shot: text.image }), {
          input: 'shot',
          headers: { 'content-type': 'application/json' },
        })
      ).images,
    ).toEqual([frame]);
  });

  it.each([
    ['a form cut short', Buffer.from('--x\r\nContent-Disp'), 'multipart/form-data; boundary=x', 'REQUEST_INVALID'],
    [
      'a form without files',
      Buffer.from('--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'),
      'multipart/form-data; boundary=x',
      'UNINSPECTED',
    ],
    ['JSON without the field', json({ picture: 'aGVsbG8=' }), 'application/json', 'UNINSPECTED'],
  ])('refuses %s', async (_, body, type, code) => {
    await expect(find('image', body, { headers: { 'content-type': type } })).rejects.toMatchObject({
      code: `STOPLINE_ERR_${code}`,
    });
  });
});

describe('paths', () => {
  const match = createMatcher([{ path: '/classify/*', protocol: 'image' }, ...protocolRoutes]);

  it.each([
    ['/v2/models/lights/infer', 'oip'],
    ['/v2/models/lights/versions/3/infer', 'oip'],
    ['/V2/Models/lights/infer/', 'oip'],
    ['/v1/models/lights:predict', 'tfserving'],
    ['/v1/models/lights/versions/1:predict', 'tfserving'],
    ['/classify/front', 'image'],
    ['/v2/models/lights', undefined],
    ['/v2/models/lights/ready', undefined],
    ['/v2/models/a/b/infer', undefined],
    ['/x/v2/models/lights/infer', undefined],
  ])('%s is %s', (path, protocol) => {
    expect(match(path)?.protocol).toBe(protocol);
  });

  it('that an upstream might read in another way are refused', async () => {
    const odd = [
      '/v2//models/a/infer',
      '/v2/./models/a/infer',
      '/a/../v2/models/a/infer',
      '/%762/models/a/infer',
      '/v2%2fmodels/a/infer',
    ];
    const more = [
      '/v1/models/a%3Apredict',
      '/v2/models/a/infer;x=1',
      '/v2\\models\\a\\infer',
      '/v2/models/a/infer#b',
      '/%',
      '/a%00',
      '*',
      'x',
    ];
    for (const path of [...odd, ...more]) expect(await readCode(() => plainPath(path)), path).toBe('REQUEST_INVALID');
    for (const path of ['/', '/v2/models/a:b_c~d@1/infer', '/v2/models/a%20b/infer', '/v2/models/%C3%A4/infer']) {
      expect(plainPath(`${path}?x=1`)).toBe(path);
    }
  });
});
