/**
 * The forms in which model servers take images over HTTP, each as a request made of given images. The table of docs/gate.md is
 * this one; the gate has to judge every form, and to say so of what it cannot judge.
 */
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';

/** Encoded images, and the pixels of one. */
export interface FormImages {
  encoded: Buffer;
  second: Buffer;
  pixels: Buffer;
  width: number;
  height: number;
}

export interface Form {
  name: string;
  /** Server or client that sends it. */
  spokenBy: string;
  path: string;
  headers?: Record<string, string>;
  body(images: FormImages): Buffer | object | string;
  /** Images that are found; 0 where it cannot be judged, and then a closed gate refuses it. */
  images: number;
}

const base64 = (bytes: Buffer) => bytes.toString('base64');
const json = { 'content-type': 'application/json' };
const oip = '/v2/models/m/infer';
const v1 = '/v1/models/m:predict';
const other = '/classify';

const tensor = (datatype: string, shape: number[], data: unknown, more: object = {}) => ({
  inputs: [{ name: 'image', datatype, shape, data, ...more }],
});

/** Pixels in nested arrays, row by row. */
function nest({ pixels, width, height }: FormImages, scale = 1): number[][][] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) =>
      Array.from(pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3), (value) => value * scale),
    ),
  );
}

/** The same pixels plane by plane. */
export function planes({ pixels }: FormImages): number[] {
  const plane = (channel: number) => Array.from({ length: pixels.length / 3 }, (_, i) => pixels[i * 3 + channel]);
  return [...plane(0), ...plane(1), ...plane(2)];
}

export function prefixed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const headLengths = new WeakMap<Buffer, number>();

/** An OIP request with binary tensors behind its JSON. */
function binary(inputs: { datatype: string; shape: number[]; bytes: Buffer }[], head: object = {}): Buffer {
  const described = inputs.map(({ bytes, ...input }, i) => ({
    name: `input${i}`,
    ...input,
    parameters: { binary_data_size: bytes.length },
  }));
  const text = Buffer.from(JSON.stringify({ ...head, inputs: described }));
  const body = Buffer.concat([text, ...inputs.map(({ bytes }) => bytes)]);
  headLengths.set(body, text.length);
  return body;
}

function multipart(head: string[], content: Buffer | string, end = '\r\n'): Buffer {
  const start = ['--edge', ...head, '', ''].join(end);
  return Buffer.concat([Buffer.from(start), Buffer.from(content as string), Buffer.from(`${end}--edge--${end}`)]);
}
const form = { 'content-type': 'multipart/form-data; boundary=edge' };
const disposition = 'Content-Disposition: form-data; name="image"';

/** Numbers as a tensor of a datatype has them in memory. */
export function encodeFloats(values: readonly number[], datatype = 'FP32'): Buffer {
  if (datatype === 'FP32') return Buffer.from(Float32Array.from(values).buffer);
  if (datatype === 'FP64') return Buffer.from(Float64Array.from(values).buffer);
  if (datatype === 'INT8') return Buffer.from(Int8Array.from(values).buffer);
  if (datatype === 'BF16') return Buffer.from(Uint16Array.from(values, (value) => readBits(value) >>> 16).buffer);
  return Buffer.from(Uint16Array.from(values, encodeHalf).buffer);
}

const word = new DataView(new ArrayBuffer(4));
function readBits(value: number): number {
  word.setFloat32(0, value);
  return word.getUint32(0);
}

/** A number from 0 to 65504 as IEEE 754 has it in two bytes. */
function encodeHalf(value: number): number {
  const bits = readBits(value);
  const exponent = ((bits >> 23) & 255) - 112;
  if (exponent <= 0) return Math.round(value * 2 ** 24);
  return ((exponent << 10) | ((bits >> 13) & 1023)) + ((bits >> 12) & 1);
}

/** Routes of the settings have these paths, with a `tensor`. */
const tensorPaths = {
  floats: '/v2/models/floats/infer',
  whole: '/v2/models/whole/infer',
  quantised: '/v2/models/quantised/infer',
  rows: '/v1/models/floats:predict',
};

/** What the settings say of them. */
export const formRoutes = [
  { path: tensorPaths.floats, protocol: 'oip', tensor: {} },
  { path: tensorPaths.whole, protocol: 'oip', tensor: { scale: 1 } },
  { path: tensorPaths.quantised, protocol: 'oip', tensor: { scale: 1, mean: [128] } },
  { path: tensorPaths.rows, protocol: 'tfserving', tensor: {} },
] as const;

const tensors: Form[] = [
  {
    name: 'BYTES in JSON, base64',
    spokenBy: 'KServe, MLServer',
    path: oip,
    images: 1,
    body: ({ encoded }) => tensor('BYTES', [1], [base64(encoded)]),
  },
  {
    name: 'BYTES in JSON, a batch of two',
    spokenBy: 'KServe, MLServer',
    path: oip,
    images: 2,
    body: ({ encoded, second }) => tensor('BYTES', [2, 1], [base64(encoded), base64(second)]),
  },
  {
    name: 'BYTES in JSON, nested',
    spokenBy: 'KServe, MLServer',
    path: oip,
    images: 2,
    body: ({ encoded, second }) => tensor('BYTES', [2, 1], [[base64(encoded)], [base64(second)]]),
  },
  {
    name: 'BYTES with the content type base64',
    spokenBy: 'MLServer',
    path: oip,
    images: 1,
    body: ({ encoded }) => tensor('BYTES', [1], [base64(encoded)], { parameters: { content_type: 'base64' } }),
  },
  {
    name: 'BYTES beside a text',
    spokenBy: 'Triton',
    path: oip,
    images: 1,
    body: ({ encoded }) => ({
      inputs: [
        { name: 'prompt', datatype: 'BYTES', shape: [1], data: ['what is this?'] },
        { name: 'image', datatype: 'BYTES', shape: [1], data: [base64(encoded)] },
      ],
    }),
  },
  {
    name: 'two inputs of BYTES',
    spokenBy: 'Triton',
    path: oip,
    images: 2,
    body: ({ encoded, second }) => ({
      inputs: [encoded, second].map((bytes, i) => ({
        name: `image${i}`,
        datatype: 'BYTES',
        shape: [1],
        data: [base64(bytes)],
      })),
    }),
  },
  {
    name: 'a version of the model',
    spokenBy: 'Triton',
    path: '/v2/models/m/versions/3/infer',
    images: 1,
    body: ({ encoded }) => tensor('BYTES', [1], [base64(encoded)]),
  },
  {
    name: 'UINT8 [H,W,3] in JSON',
    spokenBy: 'OpenVINO',
    path: oip,
    images: 1,
    body: ({ pixels, width, height }) => tensor('UINT8', [height, width, 3], [...pixels]),
  },
  {
    name: 'UINT8 [1,H,W,3] in JSON, nested',
    spokenBy: 'OpenVINO',
    path: oip,
    images: 1,
    body: (images) => tensor('UINT8', [1, images.height, images.width, 3], [nest(images)]),
  },
  {
    name: 'UINT8 [1,3,H,W] in JSON',
    spokenBy: 'Triton',
    path: oip,
    images: 1,
    body: (images) => tensor('UINT8', [1, 3, images.height, images.width], planes(images)),
  },
  {
    name: 'UINT8 [1,1,H,W,3], five sides',
    spokenBy: 'Triton',
    path: oip,
    images: 1,
    body: ({ pixels, width, height }) => tensor('UINT8', [1, 1, height, width, 3], [...pixels]),
  },
  {
    name: 'UINT8 [N] in JSON, an encoded image',
    spokenBy: 'Triton with DALI',
    path: oip,
    images: 1,
    body: ({ encoded }) => tensor('UINT8', [encoded.length], [...encoded]),
  },
  {
    name: 'UINT8 [1,N] in JSON, an encoded image',
    spokenBy: 'Triton with DALI',
    path: oip,
    images: 1,
    body: ({ encoded }) => tensor('UINT8', [1, encoded.length], [...encoded]),
  },
  {
    name: 'FP32 without "tensor"',
    spokenBy: 'Triton',
    path: oip,
    images: 0,
    body: ({ pixels, width, height }) =>
      tensor(
        'FP32',
        [1, height, width, 3],
        Array.from(pixels, (value) => value / 255),
      ),
  },
  {
    name: 'binary BYTES',
    spokenBy: 'Triton',
    path: oip,
    images: 1,
    body: ({ encoded }) => binary([{ datatype: 'BYTES', shape: [1], bytes: prefixed(encoded) }]),
  },
  {
    name: 'binary BYTES, outputs asked as binary',
    spokenBy: 'Triton',
    path: oip,
    images: 1,
    body: ({ encoded }) =>
      binary([{ datatype: 'BYTES', shape: [1, 1], bytes: prefixed(encoded) }], {
        id: '1',
        parameters: { binary_data_output: true },
        outputs: [{ name: 'o', parameters: { binary_data: true } }],
      }),
  },
  {
    name: 'binary BYTES, two inputs',
    spokenBy: 'Triton',
    path: oip,
    images: 2,
    body: ({ encoded, second }) =>
      binary([
        { datatype: 'BYTES', shape: [1], bytes: prefixed(encoded) },
        { datatype: 'BYTES', shape: [1], bytes: prefixed(second) },
      ]),
  },
  {
    name: 'binary UINT8 [1,H,W,3]',
    spokenBy: 'Triton',
    path: oip,
    images: 1,
    body: ({ pixels, width, height }) => binary([{ datatype: 'UINT8', shape: [1, height, width, 3], bytes: pixels }]),
  },
  {
    name: 'binary UINT8 [N], an encoded image',
    spokenBy: 'Triton with DALI',
    path: oip,
    images: 1,
    body: ({ encoded }) => binary([{ datatype: 'UINT8', shape: [encoded.length], bytes: encoded }]),
  },
  {
    name: 'binary UINT8 [1,N], an encoded image',
    spokenBy: 'Triton with DALI',
    path: oip,
    images: 1,
    body: ({ encoded }) => binary([{ datatype: 'UINT8', shape: [1, encoded.length], bytes: encoded }]),
  },
  {
    name: 'binary UINT8 beside a number',
    spokenBy: 'Triton',
    path: oip,
    images: 1,
    body: ({ pixels, width, height }) =>
      binary([
        { datatype: 'FP32', shape: [1, 1], bytes: encodeFloats([0.5]) },
        { datatype: 'UINT8', shape: [height, width, 3], bytes: pixels },
      ]),
  },
  {
    name: 'binary FP32 without "tensor"',
    spokenBy: 'Triton',
    path: oip,
    images: 0,
    body: ({ pixels, width, height }) =>
      binary([{ datatype: 'FP32', shape: [1, height, width, 3], bytes: encodeFloats([...pixels]) }]),
  },
  {
    name: 'one raw tensor without JSON',
    spokenBy: 'Triton',
    path: oip,
    headers: { 'inference-header-content-length': '0' },
    images: 1,
    body: ({ encoded }) => encoded,
  },
  {
    name: 'an input in shared memory',
    spokenBy: 'Triton',
    path: oip,
    images: 0,
    body: ({ width, height }) => ({
      inputs: [
        {
          name: 'image',
          datatype: 'UINT8',
          shape: [1, height * width * 3],
          parameters: { shared_memory_region: 'a', shared_memory_byte_size: 7 },
        },
      ],
    }),
  },
  {
    name: 'OIP under another path',
    spokenBy: 'an ingress',
    path: '/team/v2/models/m/infer',
    images: 1,
    body: ({ encoded }) => tensor('BYTES', [1], [base64(encoded)]),
  },
];

const rows: Form[] = [
  {
    name: '{"b64"} in instances',
    spokenBy: 'TensorFlow Serving',
    path: v1,
    images: 2,
    body: ({ encoded, second }) => ({ instances: [{ b64: base64(encoded) }, { b64: base64(second) }] }),
  },
  {
    name: '{"b64"} under a name',
    spokenBy: 'TensorFlow Serving',
    path: v1,
    images: 1,
    body: ({ encoded }) => ({ signature_name: 's', instances: [{ key: '1', image_bytes: { b64: base64(encoded) } }] }),
  },
  {
    name: '{"b64"} in columns',
    spokenBy: 'TensorFlow Serving',
    path: v1,
    images: 2,
    body: ({ encoded, second }) => ({
      inputs: { image: [{ b64: base64(encoded) }, { b64: base64(second) }], key: [1, 2] },
    }),
  },
  {
    name: '{"b64"} alone in inputs',
    spokenBy: 'TensorFlow Serving',
    path: v1,
    images: 1,
    body: ({ encoded }) => ({ inputs: { b64: base64(encoded) } }),
  },
  {
    name: '{"b64"} in lists',
    spokenBy: 'KServe v1',
    path: v1,
    images: 1,
    body: ({ encoded }) => ({ instances: [[{ b64: base64(encoded) }]] }),
  },
  {
    name: '{"data": base64}',
    spokenBy: 'KServe v1, TorchServe',
    path: v1,
    images: 1,
    body: ({ encoded }) => ({ instances: [{ data: base64(encoded) }] }),
  },
  {
    name: '{"image": {"b64"}} nested',
    spokenBy: 'KServe v1',
    path: v1,
    images: 1,
    body: ({ encoded }) => ({ instances: [{ input: { image: { b64: base64(encoded) } } }] }),
  },
  {
    name: 'texts in instances',
    spokenBy: 'KServe v1',
    path: v1,
    images: 2,
    body: ({ encoded, second }) => ({ instances: [base64(encoded), base64(second)] }),
  },
  {
    name: 'pixels in instances',
    spokenBy: 'Keras',
    path: v1,
    images: 1,
    body: (images) => ({ instances: [nest(images)] }),
  },
  {
    name: 'two images of pixels in instances',
    spokenBy: 'Keras',
    path: v1,
    images: 2,
    body: (images) => ({ instances: [nest(images), nest(images)] }),
  },
  {
    name: 'pixels in inputs',
    spokenBy: 'TensorFlow Serving',
    path: v1,
    images: 1,
    body: (images) => ({ inputs: [nest(images)] }),
  },
  {
    name: 'pixels under a name',
    spokenBy: 'TensorFlow Serving',
    path: v1,
    images: 1,
    body: (images) => ({ instances: [{ image: nest(images) }] }),
  },
  {
    name: 'pixels from 0 to 1, without "tensor"',
    spokenBy: 'Keras',
    path: v1,
    images: 0,
    body: (images) => ({ instances: [nest(images, 1 / 255)] }),
  },
  {
    name: 'a version, a label',
    spokenBy: 'TensorFlow Serving',
    path: '/v1/models/m/labels/stable:predict',
    images: 1,
    body: ({ encoded }) => ({ instances: [{ b64: base64(encoded) }] }),
  },
  {
    name: '{"content": base64}',
    spokenBy: 'Vertex AI',
    path: '/v1/projects/p/locations/l/endpoints/1:predict',
    images: 1,
    body: ({ encoded }) => ({ instances: [{ content: base64(encoded) }], parameters: { confidenceThreshold: 0.5 } }),
  },
  {
    name: 'a body of the image',
    spokenBy: 'SageMaker',
    path: '/invocations',
    headers: { 'content-type': 'application/x-image' },
    images: 1,
    body: ({ encoded }) => encoded,
  },
  {
    name: '{"inputs": base64}',
    spokenBy: 'SageMaker, Hugging Face',
    path: '/invocations',
    images: 1,
    body: ({ encoded }) => ({ inputs: base64(encoded) }),
  },
  {
    name: 'binData',
    spokenBy: 'Seldon',
    path: '/api/v1.0/predictions',
    images: 1,
    body: ({ encoded }) => ({ binData: base64(encoded) }),
  },
  {
    name: 'ndarray of pixels',
    spokenBy: 'Seldon',
    path: '/api/v1.0/predictions',
    images: 1,
    body: (images) => ({ data: { ndarray: [nest(images)] } }),
  },
  {
    name: 'tensor with a shape of its own',
    spokenBy: 'Seldon',
    path: '/api/v1.0/predictions',
    images: 0,
    body: ({ pixels, width, height }) => ({ data: { tensor: { shape: [1, height, width, 3], values: [...pixels] } } }),
  },
  {
    name: 'strData with JSON in it',
    spokenBy: 'Seldon',
    path: '/api/v1.0/predictions',
    images: 0,
    body: ({ encoded }) => ({ strData: JSON.stringify({ image: base64(encoded) }) }),
  },
  {
    name: '{"data"} in a list',
    spokenBy: 'TorchServe',
    path: '/predictions/m',
    images: 1,
    body: ({ encoded }) => [{ data: base64(encoded) }],
  },
  {
    name: 'a body of the image, TorchServe',
    spokenBy: 'TorchServe',
    path: '/predictions/m/1.0',
    headers: { 'content-type': 'image/jpeg' },
    images: 1,
    body: ({ encoded }) => encoded,
  },
  {
    name: 'a form with the part data',
    spokenBy: 'TorchServe',
    path: '/predictions/m',
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart(['Content-Disposition: form-data; name="data"; filename="a.jpg"'], encoded),
  },
  {
    name: 'image_url with a data URL',
    spokenBy: 'chat completions',
    path: '/v1/chat/completions',
    images: 1,
    body: ({ encoded }) => ({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is this?' },
            { type: 'image_url', image_url: { url: `data:image/jpeg;base64,${base64(encoded)}` } },
          ],
        },
      ],
    }),
  },
  {
    name: 'image_url with an address',
    spokenBy: 'chat completions',
    path: '/v1/chat/completions',
    images: 0,
    body: () => ({
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://10.0.0.1/a.jpg' } }] }],
    }),
  },
];

const dialects: Form[] = [
  ['plain', (text: string) => text],
  ['without padding', (text: string) => text.replace(/=+$/, '')],
  ['with the letters of URLs', (text: string) => text.replaceAll('+', '-').replaceAll('/', '_')],
  [
    'with the letters of URLs, without padding',
    (text: string) => text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''),
  ],
  ['with line feeds', (text: string) => text.replace(/.{76}/g, '$&\n')],
  ['with carriage returns', (text: string) => text.replace(/.{64}/g, '$&\r\n')],
  ['with spaces around it', (text: string) => `  ${text}\n`],
  ['a data URL', (text: string) => `data:image/jpeg;base64,${text}`],
  ['a data URL with a charset', (text: string) => `data:image/jpeg;charset=utf-8;base64,${text}`],
].map(([name, write]) => ({
  name: `base64 ${name}`,
  spokenBy: 'any',
  path: other,
  images: 1,
  body: ({ encoded }: FormImages) => ({ image: (write as (text: string) => string)(base64(encoded)) }),
}));
dialects.push(
  {
    name: 'base64 with escaped slashes',
    spokenBy: 'PHP',
    path: other,
    headers: json,
    images: 1,
    body: ({ encoded }) => `{"image":"${base64(encoded).replaceAll('/', '\\/')}"}`,
  },
  {
    name: 'base64 with escapes by number',
    spokenBy: '.NET',
    path: other,
    headers: json,
    images: 1,
    body: ({ encoded }) => `{"image":"${base64(encoded).replaceAll('+', '\\u002B')}"}`,
  },
  {
    name: 'base64 as the whole JSON',
    spokenBy: 'any',
    path: other,
    headers: json,
    images: 1,
    body: ({ encoded }) => JSON.stringify(base64(encoded)),
  },
  {
    name: 'base64 as the whole body',
    spokenBy: 'any',
    path: other,
    headers: { 'content-type': 'text/plain' },
    images: 1,
    body: ({ encoded }) => base64(encoded),
  },
  {
    name: 'JSON without a content type',
    spokenBy: 'any',
    path: other,
    headers: {},
    images: 1,
    body: ({ encoded }) => JSON.stringify({ image: base64(encoded) }),
  },
  {
    name: 'JSON of a type of its own',
    spokenBy: 'any',
    path: other,
    headers: { 'content-type': 'application/vnd.api+json' },
    images: 1,
    body: ({ encoded }) => ({ data: { attributes: { photo: base64(encoded) } } }),
  },
  {
    name: 'an encoded image as numbers',
    spokenBy: 'Node',
    path: other,
    images: 1,
    body: ({ encoded }) => ({ image: { type: 'Buffer', data: [...encoded] } }),
  },
  {
    name: 'base64 of bytes of no known kind',
    spokenBy: 'any',
    path: other,
    images: 0,
    body: ({ pixels }) => ({ raw: base64(pixels) }),
  },
);

const bodies: Form[] = [
  ...['image/jpeg', 'application/octet-stream', 'binary/octet-stream', 'application/x-image', ''].map((type) => ({
    name: `the image, as ${type || 'no type'}`,
    spokenBy: 'any',
    path: other,
    headers: (type ? { 'content-type': type } : {}) as Record<string, string>,
    images: 1,
    body: ({ encoded }: FormImages) => encoded,
  })),
  {
    name: 'a part with a file name',
    spokenBy: 'browsers',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart([`${disposition}; filename="a.jpg"`, 'Content-Type: image/jpeg'], encoded),
  },
  {
    name: 'a part without a file name',
    spokenBy: 'any',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart([disposition], encoded),
  },
  {
    name: 'a part with a type and no file name',
    spokenBy: 'any',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart([disposition, 'Content-Type: image/jpeg'], encoded),
  },
  {
    name: 'a part without a name',
    spokenBy: 'any',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart(['Content-Type: image/jpeg'], encoded),
  },
  {
    name: 'a part without headers',
    spokenBy: 'any',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart([], encoded),
  },
  {
    name: 'a part in base64',
    spokenBy: 'mail libraries',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart([disposition, 'Content-Transfer-Encoding: base64'], base64(encoded)),
  },
  {
    name: 'base64 in a field',
    spokenBy: 'any',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart([disposition], base64(encoded)),
  },
  {
    name: 'JSON in a field',
    spokenBy: 'any',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) =>
      multipart([disposition, 'Content-Type: application/json'], JSON.stringify({ image: base64(encoded) })),
  },
  {
    name: 'parts with line feeds',
    spokenBy: 'scripts',
    path: other,
    headers: form,
    images: 1,
    body: ({ encoded }) => multipart([disposition], encoded, '\n'),
  },
  {
    name: 'multipart/mixed',
    spokenBy: 'any',
    path: other,
    headers: { 'content-type': 'multipart/mixed; boundary=edge' },
    images: 1,
    body: ({ encoded }) => multipart(['Content-Type: image/jpeg'], encoded),
  },
  {
    name: 'a field in the encoding of URLs',
    spokenBy: 'browsers',
    path: other,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    images: 1,
    body: ({ encoded }) => new URLSearchParams({ note: 'a', image: base64(encoded) }).toString(),
  },
  ...(
    [
      ['gzip', gzipSync],
      ['deflate', deflateSync],
      ['br', brotliCompressSync],
      ['zstd', zstdCompressSync],
    ] as const
  ).flatMap(([coding, pack]): Form[] => [
    {
      name: `the image in ${coding}`,
      spokenBy: 'any',
      path: other,
      headers: { 'content-type': 'image/jpeg', 'content-encoding': coding },
      images: 1,
      body: ({ encoded }) => pack(encoded),
    },
    {
      name: `JSON in ${coding}`,
      spokenBy: 'any',
      path: v1,
      headers: { ...json, 'content-encoding': coding },
      images: 1,
      body: ({ encoded }) => pack(Buffer.from(JSON.stringify({ instances: [{ b64: base64(encoded) }] }))),
    },
  ]),
  {
    name: 'two codings',
    spokenBy: 'any',
    path: other,
    headers: { 'content-type': 'image/jpeg', 'content-encoding': 'gzip, br' },
    images: 0,
    body: ({ encoded }) => gzipSync(brotliCompressSync(encoded)),
  },
  {
    name: 'JSON without an image',
    spokenBy: 'any',
    path: other,
    images: 0,
    body: () => ({ text: 'what is in this picture?', n: [1, 2, 3] }),
  },
  {
    name: 'words',
    spokenBy: 'any',
    path: other,
    headers: { 'content-type': 'text/plain' },
    images: 0,
    body: () => 'what is in this picture?',
  },
];

const unit = ({ pixels }: FormImages) => Array.from(pixels, (value) => value / 255);
const preprocessed: Form[] = [
  ...(['FP32', 'FP16', 'FP64'] as const).map((datatype) => ({
    name: `binary ${datatype} with "tensor"`,
    spokenBy: 'Triton',
    path: tensorPaths.floats,
    images: 1,
    body: (i: FormImages) =>
      binary([{ datatype, shape: [1, i.height, i.width, 3], bytes: encodeFloats(unit(i), datatype) }]),
  })),
  ...(['FP16', 'BF16', 'INT8'] as const).map((datatype) => ({
    name: `binary ${datatype} without "tensor"`,
    spokenBy: 'Triton',
    path: oip,
    images: 0,
    body: (i: FormImages) =>
      binary([{ datatype, shape: [1, i.height, i.width, 3], bytes: encodeFloats(unit(i), datatype) }]),
  })),
  {
    name: 'binary BF16 with "tensor"',
    spokenBy: 'Triton',
    path: tensorPaths.whole,
    images: 1,
    body: (i) =>
      binary([{ datatype: 'BF16', shape: [1, i.height, i.width, 3], bytes: encodeFloats([...i.pixels], 'BF16') }]),
  },
  {
    name: 'binary INT8, quantised, with "tensor"',
    spokenBy: 'OpenVINO',
    path: tensorPaths.quantised,
    images: 1,
    body: (i) => {
      const bytes = encodeFloats(
        [...i.pixels].map((value) => value - 128),
        'INT8',
      );
      return binary([{ datatype: 'INT8', shape: [1, i.height, i.width, 3], bytes }]);
    },
  },
  {
    name: 'FP32 in JSON with "tensor"',
    spokenBy: 'OpenVINO',
    path: tensorPaths.floats,
    images: 1,
    body: (i) => tensor('FP32', [1, i.height, i.width, 3], unit(i)),
  },
  {
    name: 'FP32 [1,1,H,W,3] in JSON with "tensor"',
    spokenBy: 'OpenVINO',
    path: tensorPaths.floats,
    images: 1,
    body: (i) => tensor('FP32', [1, 1, i.height, i.width, 3], unit(i)),
  },
  {
    name: 'pixels from 0 to 1 with "tensor"',
    spokenBy: 'Keras',
    path: tensorPaths.rows,
    images: 1,
    body: (i) => ({ instances: [nest(i, 1 / 255)] }),
  },
  {
    name: 'binary UINT8 [2,H,W,3]',
    spokenBy: 'Triton',
    path: oip,
    images: 2,
    body: (i) =>
      binary([{ datatype: 'UINT8', shape: [2, i.height, i.width, 3], bytes: Buffer.concat([i.pixels, i.pixels]) }]),
  },
  {
    name: 'binary BYTES, a batch of two',
    spokenBy: 'Triton',
    path: oip,
    images: 2,
    body: ({ encoded, second }) =>
      binary([{ datatype: 'BYTES', shape: [2, 1], bytes: Buffer.concat([prefixed(encoded), prefixed(second)]) }]),
  },
  {
    name: 'binary BYTES of base64',
    spokenBy: 'MLServer',
    path: oip,
    images: 1,
    body: ({ encoded }) => binary([{ datatype: 'BYTES', shape: [1], bytes: prefixed(Buffer.from(base64(encoded))) }]),
  },
  {
    name: 'BYTES in JSON, a data URL',
    spokenBy: 'MLServer',
    path: oip,
    images: 1,
    body: ({ encoded }) => tensor('BYTES', [1], [`data:image/jpeg;base64,${base64(encoded)}`]),
  },
];

const clouds: Form[] = [
  {
    name: 'examples of classify',
    spokenBy: 'TensorFlow Serving',
    path: '/v1/models/m:classify',
    images: 1,
    body: ({ encoded }) => ({ examples: [{ image: { b64: base64(encoded) } }] }),
  },
  {
    name: 'instances to explain',
    spokenBy: 'KServe v1',
    path: '/v1/models/m:explain',
    images: 1,
    body: ({ encoded }) => ({ instances: [{ image: { b64: base64(encoded) } }] }),
  },
  {
    name: 'lines of JSON',
    spokenBy: 'SageMaker',
    path: '/invocations',
    headers: { 'content-type': 'application/jsonlines' },
    images: 2,
    body: ({ encoded, second }) =>
      [encoded, second].map((bytes) => JSON.stringify({ image: base64(bytes) })).join('\n'),
  },
  {
    name: 'requests with image.content',
    spokenBy: 'Google Cloud Vision',
    path: '/v1/images:annotate',
    images: 1,
    body: ({ encoded }) => ({ requests: [{ image: { content: base64(encoded) }, features: [{ type: 'LABEL' }] }] }),
  },
  {
    name: 'Image.Bytes',
    spokenBy: 'Amazon Rekognition',
    path: '/',
    headers: { 'content-type': 'application/x-amz-json-1.1' },
    images: 1,
    body: ({ encoded }) => JSON.stringify({ Image: { Bytes: base64(encoded) } }),
  },
  {
    name: 'inlineData',
    spokenBy: 'Gemini',
    path: '/v1beta/models/m:generateContent',
    images: 1,
    body: ({ encoded }) => ({
      contents: [{ parts: [{ inlineData: { mimeType: 'image/jpeg', data: base64(encoded) } }, { text: 'this?' }] }],
    }),
  },
  {
    name: 'a source of base64 in messages',
    spokenBy: 'Anthropic',
    path: '/v1/messages',
    images: 1,
    body: ({ encoded }) => ({
      messages: [
        {
          role: 'user',
          content: [{ type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: base64(encoded) } }],
        },
      ],
    }),
  },
  {
    name: 'images in a list',
    spokenBy: 'Ollama',
    path: '/api/generate',
    images: 1,
    body: ({ encoded }) => ({ model: 'm', prompt: 'what is this?', images: [base64(encoded)] }),
  },
  {
    name: 'base64 in place of a form',
    spokenBy: 'Roboflow',
    path: '/project/1',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    images: 1,
    body: ({ encoded }) => base64(encoded),
  },
  {
    name: 'an address alone',
    spokenBy: 'Azure AI Vision',
    path: '/vision/v3.2/analyze',
    images: 0,
    body: () => ({ url: 'https://10.0.0.1/a.jpg' }),
  },
  {
    name: 'base85 in a field',
    spokenBy: 'any',
    path: other,
    images: 0,
    body: ({ encoded }) => ({ image: encodeBase85(encoded) }),
  },
  {
    name: 'bytes of CBOR',
    spokenBy: 'any',
    path: other,
    headers: { 'content-type': 'application/cbor' },
    images: 0,
    body: ({ encoded }) =>
      Buffer.concat([
        Buffer.from([0xa1, 0x65]),
        Buffer.from('image'),
        Buffer.from([0x59, encoded.length >> 8, encoded.length & 255]),
        encoded,
      ]),
  },
];

/** The alphabet of Python's `base64.b85encode`. */
const letters85 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~';
function encodeBase85(bytes: Buffer): string {
  const padded = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  let text = '';
  for (let at = 0; at < padded.length; at += 4) {
    const value = padded.readUInt32BE(at);
    for (let power = 4; power >= 0; power--) text += letters85[Math.floor(value / 85 ** power) % 85];
  }
  return text;
}

/** Every form that is tried. */
export const forms: readonly Form[] = [...tensors, ...preprocessed, ...rows, ...clouds, ...dialects, ...bodies];

/** The request of a form as it is sent. */
export function buildForm(
  { headers, body }: Form,
  images: FormImages,
): { headers: Record<string, string>; body: Buffer } {
  const made = body(images);
  const isText = typeof made === 'string';
  const bytes = Buffer.isBuffer(made) ? made : Buffer.from(isText ? made : JSON.stringify(made));
  const length = headLengths.get(bytes);
  const binaryHeaders = {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(length),
  };
  return { headers: headers ?? (length === undefined ? json : binaryHeaders), body: bytes };
}
