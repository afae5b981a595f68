/**
 * Requests that a gate and its upstream could read differently, each with a bad image that some reader would take. A gate
 * that enforces and is closed must not let one of them reach the upstream; for the tests and for `npm run faults -- gate`.
 */

import {
  base64,
  binary,
  boundary,
  classify,
  type Differential,
  file,
  form,
  infer,
  input,
  json,
  lengthPrefixed,
  multipart,
  pixelInput,
  predict,
} from './differentialrequest.ts';
import { disguises } from './disguises.ts';

/** The text of a JSON object with a key that stands in it twice. */
const twice = (key: string, first: unknown, second: unknown, rest = '') =>
  `{"${key}":${JSON.stringify(first)},"${key}":${JSON.stringify(second)}${rest}}`;

const keyed: Differential[] = [
  {
    name: 'instances twice',
    path: predict,
    headers: json,
    body: ({ good, bad }) => twice('instances', [{ b64: base64(bad) }], [{ b64: base64(good) }]),
  },
  {
    name: 'instances twice, once in escapes',
    path: predict,
    headers: json,
    body: ({ good, bad }) => `{"inst\\u0061nces":[{"b64":"${base64(bad)}"}],"instances":[{"b64":"${base64(good)}"}]}`,
  },
  {
    name: 'b64 twice in an instance',
    path: predict,
    headers: json,
    body: ({ good, bad }) => `{"instances":[${twice('b64', base64(bad), base64(good))}]}`,
  },
  {
    name: 'instances beside inputs',
    path: predict,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ instances: [{ b64: base64(good) }], inputs: [{ b64: base64(bad) }] }),
  },
  {
    name: 'two images in one instance',
    path: predict,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ instances: [{ mask: { b64: base64(good) }, x: { b64: base64(bad) } }] }),
  },
  {
    name: 'two columns',
    path: predict,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ inputs: { a: [{ b64: base64(good) }], b: [{ b64: base64(bad) }] } }),
  },
  {
    name: 'an instance of pixels behind one in base64',
    path: predict,
    headers: json,
    body: ({ good, badPixels, width, height }) => {
      const rows = Array.from({ length: height }, (_, y) =>
        Array.from({ length: width }, (_, x) => [...badPixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)]),
      );
      return JSON.stringify({ instances: [{ a: { b64: base64(good) } }, { a: rows }] });
    },
  },
  {
    name: 'inputs twice',
    path: infer,
    headers: json,
    body: ({ good, bad }) => twice('inputs', [input([base64(bad)])], [input([base64(good)])]),
  },
  {
    name: 'data twice',
    path: infer,
    headers: json,
    body: ({ good, bad }) =>
      `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["${base64(bad)}"],"data":["${base64(good)}"]}]}`,
  },
  {
    name: 'image twice',
    path: classify,
    headers: json,
    body: ({ good, bad }) => twice('image', base64(bad), base64(good)),
  },
  {
    name: 'image in two cases',
    path: classify,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ Image: base64(bad), image: base64(good) }),
  },
  {
    name: 'a field that ends in a zero byte',
    path: classify,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ 'image\0': base64(bad), image: base64(good) }),
  },
  {
    name: 'a decoy field before the real one',
    path: classify,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ image: base64(good), photo: base64(bad) }),
  },
  {
    name: 'a field of base64 with rubbish in it that lenient readers skip',
    path: classify,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ image: base64(good), photo: base64(bad).replace(/.{40}/g, '$&!*') }),
  },
  {
    name: 'a field with the address of another image',
    path: classify,
    headers: json,
    body: ({ good }) => JSON.stringify({ image: base64(good), image_url: 'http://10.0.0.1/bad.jpg' }),
  },
  {
    name: 'bytes of an image under numbered keys',
    path: classify,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ image: base64(good), photo: { ...Uint8Array.from(bad) } }),
  },
  {
    name: 'bytes of an image among other values',
    path: classify,
    headers: json,
    body: ({ good, bad }) =>
      JSON.stringify({
        image: base64(good),
        photo: [...bad].flatMap((value, i) => (i % 100 === 0 ? ['', value] : [value])),
      }),
  },
  {
    name: 'pixels in a list a row',
    path: classify,
    headers: json,
    body: ({ good, badPixels, width }) => {
      const rows = Array.from({ length: 20 }, (_, i) => [...badPixels.subarray(i * width, i * width + 100)]);
      return JSON.stringify({ image: base64(good), ...Object.fromEntries(rows.map((row, i) => [`row${i}`, row])) });
    },
  },
  {
    name: 'an image in the query',
    path: `${classify}?photo=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk`,
    headers: { 'content-type': 'image/jpeg' },
    body: ({ good }) => good,
  },
  {
    name: 'an address in the query',
    path: `${classify}?url=http://10.0.0.1/bad.jpg`,
    headers: { 'content-type': 'image/jpeg' },
    body: ({ good }) => good,
  },
  {
    name: 'JSON in UTF-16',
    path: classify,
    headers: { 'content-type': 'application/json; charset=utf-16le' },
    body: ({ bad }) => Buffer.from(JSON.stringify({ image: base64(bad) }), 'utf16le'),
  },
  {
    name: 'an image behind JSON',
    path: classify,
    headers: json,
    body: ({ good, bad }) => Buffer.concat([Buffer.from(JSON.stringify({ image: base64(good) })), bad]),
  },
  {
    name: 'JSON within JSON',
    path: classify,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ image: base64(good), strData: JSON.stringify({ image: base64(bad) }) }),
  },
  {
    name: 'a type given twice in one header',
    path: classify,
    headers: { 'content-type': 'image/jpeg, application/json' },
    body: ({ bad }) => JSON.stringify({ image: base64(bad) }),
  },
];

const tensors: Differential[] = [
  {
    name: 'a decoy input of BYTES before the real one',
    path: infer,
    headers: json,
    body: ({ good, bad }) =>
      JSON.stringify({ inputs: [input([base64(good)]), input([base64(bad)], { name: 'second' })] }),
  },
  {
    name: 'two inputs of pixels',
    path: infer,
    headers: json,
    body: (pictures) =>
      JSON.stringify({
        inputs: [pixelInput('a', pictures.goodPixels, pictures), pixelInput('b', pictures.badPixels, pictures)],
      }),
  },
  {
    name: 'two inputs of one name',
    path: infer,
    headers: json,
    body: ({ good }) => JSON.stringify({ inputs: [input([base64(good)]), input([base64(good)])] }),
  },
  {
    name: 'floats beside pixels',
    path: infer,
    headers: json,
    body: (pictures) =>
      JSON.stringify({
        inputs: [
          pixelInput('a', pictures.goodPixels, pictures),
          { ...pixelInput('b', pictures.badPixels, pictures), datatype: 'FP32' },
        ],
      }),
  },
  {
    name: 'an encoded image as a tensor of numbers behind a decoy',
    path: infer,
    headers: json,
    body: ({ good, bad }) =>
      JSON.stringify({
        inputs: [input([base64(good)]), { name: 'raw', datatype: 'UINT8', shape: [bad.length], data: [...bad] }],
      }),
  },
  {
    name: 'an image outside of the inputs',
    path: infer,
    headers: json,
    body: ({ good, bad }) => JSON.stringify({ inputs: [input([base64(good)])], parameters: { image: base64(bad) } }),
  },
  {
    name: 'an input in shared memory behind a decoy',
    path: infer,
    headers: json,
    body: ({ good }) =>
      JSON.stringify({
        inputs: [
          input([base64(good)]),
          {
            name: 'shared',
            datatype: 'UINT8',
            shape: [180, 320, 3],
            parameters: { shared_memory_region: 'x', shared_memory_byte_size: 172800 },
          },
        ],
      }),
  },
  {
    name: 'binary: two inputs of BYTES',
    path: infer,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': 'LENGTH' },
    body: ({ good, bad }) => {
      const [first, second] = [good, bad].map(lengthPrefixed);
      const describe = (name: string, bytes: Buffer) => ({
        name,
        datatype: 'BYTES',
        shape: [1],
        parameters: { binary_data_size: bytes.length },
      });
      return binary({ id: '', inputs: [describe('a', first), describe('b', second)] }, first, second);
    },
  },
  {
    name: 'binary: two inputs of pixels',
    path: infer,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': 'LENGTH' },
    body: ({ goodPixels, badPixels, width, height }) => {
      const describe = (name: string, bytes: Buffer) => ({
        name,
        datatype: 'UINT8',
        shape: [1, height, width, 3],
        parameters: { binary_data_size: bytes.length },
      });
      return binary({ inputs: [describe('a', goodPixels), describe('b', badPixels)] }, goodPixels, badPixels);
    },
  },
  {
    name: 'binary: binary_data_size twice',
    path: infer,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': 'LENGTH' },
    body: ({ good, bad }) => {
      const [first, second] = [good, bad].map(lengthPrefixed);
      const sizes = `"parameters":{"binary_data_size":${first.length + second.length},"binary_data_size":${first.length}}`;
      const rest = `{"name":"b","datatype":"INT8","shape":[${second.length}],"parameters":{"binary_data_size":${second.length}}}`;
      return binary(`{"inputs":[{"name":"a","datatype":"BYTES","shape":[1],${sizes}},${rest}]}`, first, second);
    },
  },
  {
    name: 'binary: data as JSON and as bytes',
    path: infer,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': 'LENGTH' },
    body: ({ good, bad }) => {
      const first = lengthPrefixed(good);
      const parameters = { binary_data_size: first.length };
      return binary({ inputs: [{ ...input([base64(bad)]), parameters }] }, first);
    },
  },
  {
    name: 'binary: an encoded image as numbers behind a decoy',
    path: infer,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': 'LENGTH' },
    body: ({ good, bad }) => {
      const first = lengthPrefixed(good);
      return binary(
        {
          inputs: [
            { name: 'a', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: first.length } },
            { name: 'b', datatype: 'UINT8', shape: [1, bad.length], parameters: { binary_data_size: bad.length } },
          ],
        },
        first,
        bad,
      );
    },
  },
  {
    name: 'binary: inputs twice',
    path: infer,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': 'LENGTH' },
    body: ({ good, bad }) => {
      const first = lengthPrefixed(good);
      const decoy = { name: 'a', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: first.length } };
      return binary(
        `{"inputs":${JSON.stringify([{ name: 'a', datatype: 'BYTES', shape: [1], data: [base64(bad)] }])},"inputs":${JSON.stringify([decoy])}}`,
        first,
      );
    },
  },
];

const forms: Differential[] = [
  {
    name: 'boundary twice in the type',
    path: classify,
    headers: { 'content-type': `multipart/form-data; boundary=other; boundary=${boundary}` },
    body: ({ good, bad }) => Buffer.concat([multipart([file(bad)], { edge: 'other' }), multipart([file(good)])]),
  },
  {
    name: 'boundary in pieces in the type',
    path: classify,
    headers: { 'content-type': `multipart/form-data; boundary*0=oth; boundary*1=er; boundary=${boundary}` },
    body: ({ good, bad }) => Buffer.concat([multipart([file(bad)], { edge: 'other' }), multipart([file(good)])]),
  },
  {
    name: 'a part without a file name but of an image type behind a file',
    path: classify,
    headers: form,
    body: ({ good, bad }) =>
      multipart([
        file(good),
        { head: ['Content-Disposition: form-data; name="photo"', 'Content-Type: image/jpeg'], content: bad },
      ]),
  },
  {
    name: 'a part without a file name and type behind a file',
    path: classify,
    headers: form,
    body: ({ good, bad }) =>
      multipart([file(good), { head: ['Content-Disposition: form-data; name="photo"'], content: bad }]),
  },
  {
    name: 'a part without a name behind a file',
    path: classify,
    headers: form,
    body: ({ good, bad }) => multipart([file(good), { head: ['Content-Type: image/jpeg'], content: bad }]),
  },
  {
    name: 'base64 in a field behind a file',
    path: classify,
    headers: form,
    body: ({ good, bad }) =>
      multipart([file(good), { head: ['Content-Disposition: form-data; name="b64"'], content: base64(bad) }]),
  },
  {
    name: 'a part in base64 by its transfer encoding',
    path: classify,
    headers: form,
    body: ({ good, bad }) => {
      const { head } = file(bad, 'b');
      return multipart([file(good), { head: [...head, 'Content-Transfer-Encoding: base64'], content: base64(bad) }]);
    },
  },
  {
    name: 'JSON in a part behind a file',
    path: classify,
    headers: form,
    body: ({ good, bad }) =>
      multipart([
        file(good),
        {
          head: ['Content-Disposition: form-data; name="json"', 'Content-Type: application/json'],
          content: JSON.stringify({ image: base64(bad) }),
        },
      ]),
  },
  {
    name: 'a name twice in a disposition',
    path: classify,
    headers: form,
    body: ({ good }) => multipart([file(good, 'image', '; name="mask"')]),
  },
  {
    name: 'a disposition twice',
    path: classify,
    headers: form,
    body: ({ good }) => {
      const { head, content } = file(good);
      return multipart([{ head: [...head, 'Content-Disposition: form-data; name="mask"'], content }]);
    },
  },
  {
    name: 'two parts of one name',
    path: classify,
    headers: form,
    body: ({ good, bad }) => multipart([file(bad), file(good)]),
  },
  {
    name: 'a folded header of a part',
    path: classify,
    headers: form,
    body: ({ good }) => {
      const { head, content } = file(good);
      return multipart([{ head: [...head, 'X-A: b', ' Content-Disposition: form-data; name="mask"'], content }]);
    },
  },
  {
    name: 'an image before the first part',
    path: classify,
    headers: form,
    body: ({ good, bad }) => multipart([file(good)], { before: Buffer.concat([bad, Buffer.from('\r\n')]) }),
  },
  {
    name: 'a part behind the last one',
    path: classify,
    headers: form,
    body: ({ good, bad }) => multipart([file(good)], { after: multipart([file(bad)]) }),
  },
  {
    name: 'parts with line feeds among those with carriage returns',
    path: classify,
    headers: form,
    body: ({ good, bad }) => {
      const hidden = multipart([file(bad, 'hidden')], { end: '\n' });
      return multipart([
        file(good),
        { head: ['Content-Disposition: form-data; name="note"'], content: Buffer.concat([Buffer.from('x\n'), hidden]) },
      ]);
    },
  },
  {
    name: 'a form within a form',
    path: classify,
    headers: form,
    body: ({ good, bad }) =>
      multipart([
        file(good),
        {
          head: ['Content-Disposition: form-data; name="more"', 'Content-Type: multipart/mixed; boundary=inner'],
          content: multipart([file(bad)], { edge: 'inner' }),
        },
      ]),
  },
  {
    name: 'a form that only its bytes tell',
    path: classify,
    headers: { 'content-type': 'application/octet-stream' },
    body: ({ bad }) => multipart([file(bad)]),
  },
  {
    name: 'base64 in a form of URL encoding',
    path: classify,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: ({ good, bad }) => new URLSearchParams({ image: base64(good), photo: base64(bad) }).toString(),
  },
];

/** Everything that two readers could take differently. */
export const differentials: readonly Differential[] = [...keyed, ...tensors, ...forms, ...disguises];
