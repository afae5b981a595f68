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
function planes({ pixels }: FormImages): number[] {
  const plane = (channel: number) => Array.from({ length: pixels.length / 3 }, (_, i) => pixels[i * 3 + channel]);
  return [...plane(0), ...plane(1), ...plane(2)];
}

function prefixed(bytes: Buffer): Buffer {
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
const floats = (values: ArrayLike<number>) => Buffer.from(Float32Array.from(values).buffer);

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
        { datatype: 'FP32', shape: [1, 1], bytes: floats([0.5]) },
        { datatype: 'UINT8', shape: [height, width, 3], bytes: pixels },
      ]),
  },
  {
    name: 'binary FP32 without "tensor"',
    spokenBy: 'Triton',
    path: oip,
    images: 0,
    body: ({ pixels, width, height }) =>
      binary([{ datatype: 'FP32', shape: [1, height, width, 3], bytes: floats(pixels) }]),
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

/** Every form that is tried. */
export const forms: readonly Form[] = [...tensors, ...rows, ...dialects, ...bodies];

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
