/** The forms in which model servers take images over gRPC, each as a message made of given images. */
import { inferMethod, predictMethod, strangeMethod, streamMethod, writeRequest } from '../../test/fixtures/grpc.ts';
import { encodeFloats, type FormImages, planes, prefixed } from './forms.ts';

export interface GrpcForm {
  name: string;
  spokenBy: string;
  /** The method. */
  path: string;
  message(images: FormImages): Buffer;
  images: number;
  /** The client packs the message. */
  isGzip?: boolean;
}

interface Input {
  name?: string;
  datatype: string;
  shape: number[];
  contents?: object;
  parameters?: object;
}

function infer(inputs: Input[], raw: Buffer[] = [], more: object = {}): Buffer {
  const named = inputs.map((input, i) => ({ name: `input${i}`, ...input }));
  return writeRequest('ModelInfer', { model_name: 'm', id: '1', inputs: named, raw_input_contents: raw, ...more });
}
const text = (...elements: Buffer[]): Input => ({
  datatype: 'BYTES',
  shape: [elements.length],
  contents: { bytes_contents: elements },
});
const pixels = (shape: number[], datatype = 'UINT8'): Input => ({ datatype, shape });
const base64 = (bytes: Buffer) => Buffer.from(bytes.toString('base64'));
const oip = (
  name: string,
  images: number,
  message: GrpcForm['message'],
  spokenBy = 'Triton, KServe, OpenVINO',
  path = inferMethod,
): GrpcForm => ({ name: `gRPC ${name}`, spokenBy, path, images, message });

/** Routes of the settings have these paths, with a `tensor`. */
export const floatMethod = '/floats.GRPCInferenceService/ModelInfer';
export const wholeFloatMethod = '/whole.GRPCInferenceService/ModelInfer';
export const quantisedMethod = '/quantised.GRPCInferenceService/ModelInfer';
const unit = ({ pixels }: FormImages) => Array.from(pixels, (value) => value / 255);

const inferences: GrpcForm[] = [
  oip('bytes_contents', 1, ({ encoded }) => infer([text(encoded)])),
  oip('bytes_contents, a batch of two', 2, ({ encoded, second }) => infer([text(encoded, second)])),
  oip('bytes_contents beside a text', 1, ({ encoded }) => infer([text(Buffer.from('what is this?')), text(encoded)])),
  oip('bytes_contents in two inputs', 2, ({ encoded, second }) => infer([text(encoded), text(second)])),
  oip('bytes_contents of base64', 1, ({ encoded }) => infer([text(base64(encoded))]), 'MLServer'),
  oip(
    'bytes_contents of a data URL',
    1,
    ({ encoded }) => infer([text(Buffer.from(`data:image/jpeg;base64,${base64(encoded)}`))]),
    'MLServer',
  ),
  oip('bytes_contents, outputs asked for', 1, ({ encoded }) =>
    infer([text(encoded)], [], { outputs: [{ name: 'o', parameters: { classification: { int64_param: 3 } } }] }),
  ),
  oip('bytes_contents, a version and parameters', 1, ({ encoded }) =>
    infer([text(encoded)], [], { model_version: '3', parameters: { priority: { uint64_param: 1 } } }),
  ),
  { ...oip('bytes_contents, packed with gzip', 1, ({ encoded }) => infer([text(encoded)])), isGzip: true },
  oip('raw BYTES', 1, ({ encoded }) => infer([{ datatype: 'BYTES', shape: [1] }], [prefixed(encoded)])),
  oip('raw BYTES, a batch of two', 2, ({ encoded, second }) =>
    infer([{ datatype: 'BYTES', shape: [2, 1] }], [Buffer.concat([prefixed(encoded), prefixed(second)])]),
  ),
  oip('raw BYTES in two inputs', 2, ({ encoded, second }) =>
    infer(
      [
        { datatype: 'BYTES', shape: [1] },
        { datatype: 'BYTES', shape: [1] },
      ],
      [prefixed(encoded), prefixed(second)],
    ),
  ),
  oip('raw UINT8 [1,H,W,3]', 1, (i) => infer([pixels([1, i.height, i.width, 3])], [i.pixels])),
  oip('raw UINT8 [H,W,3]', 1, (i) => infer([pixels([i.height, i.width, 3])], [i.pixels])),
  oip('raw UINT8 [1,3,H,W]', 1, (i) => infer([pixels([1, 3, i.height, i.width])], [Buffer.from(planes(i))])),
  oip('raw UINT8 [1,1,H,W,3], five sides', 1, (i) => infer([pixels([1, 1, i.height, i.width, 3])], [i.pixels])),
  oip('raw UINT8 [2,H,W,3]', 2, (i) =>
    infer([pixels([2, i.height, i.width, 3])], [Buffer.concat([i.pixels, i.pixels])]),
  ),
  oip('raw UINT8 beside a number', 1, (i) =>
    infer([pixels([1, 1], 'FP32'), pixels([1, i.height, i.width, 3])], [encodeFloats([0.5]), i.pixels]),
  ),
  oip(
    'raw UINT8 [N], an encoded image',
    1,
    (i) => infer([pixels([i.encoded.length])], [i.encoded]),
    'Triton with DALI',
  ),
  oip(
    'raw UINT8 [1,N], an encoded image',
    1,
    (i) => infer([pixels([1, i.encoded.length])], [i.encoded]),
    'Triton with DALI',
  ),
  oip('uint_contents [1,H,W,3]', 1, (i) =>
    infer([{ ...pixels([1, i.height, i.width, 3]), contents: { uint_contents: [...i.pixels] } }]),
  ),
  oip('uint_contents [1,3,H,W]', 1, (i) =>
    infer([{ ...pixels([1, 3, i.height, i.width]), contents: { uint_contents: planes(i) } }]),
  ),
  oip('uint_contents [N], an encoded image', 1, (i) =>
    infer([{ ...pixels([i.encoded.length]), contents: { uint_contents: [...i.encoded] } }]),
  ),
  oip('base64 in a parameter', 1, ({ encoded }) =>
    infer([{ datatype: 'FP32', shape: [1], contents: { fp32_contents: [1] } }], [], {
      parameters: { image: { string_param: encoded.toString('base64') } },
    }),
  ),
  oip('fp32_contents without "tensor"', 0, (i) =>
    infer([{ ...pixels([1, i.height, i.width, 3], 'FP32'), contents: { fp32_contents: unit(i) } }]),
  ),
  ...(['FP16', 'BF16', 'FP64', 'INT8'] as const).map((datatype) =>
    oip(`raw ${datatype} without "tensor"`, 0, (i) =>
      infer([pixels([1, i.height, i.width, 3], datatype)], [encodeFloats(unit(i), datatype)]),
    ),
  ),
  oip(
    'fp32_contents with "tensor"',
    1,
    (i) => infer([{ ...pixels([1, i.height, i.width, 3], 'FP32'), contents: { fp32_contents: unit(i) } }]),
    'Triton',
    floatMethod,
  ),
  oip(
    'fp64_contents with "tensor"',
    1,
    (i) => infer([{ ...pixels([i.height, i.width, 3], 'FP64'), contents: { fp64_contents: unit(i) } }]),
    'Triton',
    floatMethod,
  ),
  ...(['FP32', 'FP16'] as const).map((datatype) =>
    oip(
      `raw ${datatype} with "tensor"`,
      1,
      (i) => infer([pixels([1, i.height, i.width, 3], datatype)], [encodeFloats(unit(i), datatype)]),
      'Triton',
      floatMethod,
    ),
  ),
  oip(
    'raw FP32 [1,1,H,W,3] with "tensor"',
    1,
    (i) => infer([pixels([1, 1, i.height, i.width, 3], 'FP32')], [encodeFloats(unit(i))]),
    'Triton',
    floatMethod,
  ),
  oip(
    'raw BF16 with "tensor"',
    1,
    (i) => infer([pixels([1, i.height, i.width, 3], 'BF16')], [encodeFloats([...i.pixels], 'BF16')]),
    'Triton',
    wholeFloatMethod,
  ),
  oip(
    'raw INT8, quantised, with "tensor"',
    1,
    (i) =>
      infer(
        [pixels([1, i.height, i.width, 3], 'INT8')],
        [
          encodeFloats(
            [...i.pixels].map((v) => v - 128),
            'INT8',
          ),
        ],
      ),
    'OpenVINO',
    quantisedMethod,
  ),
  oip(
    'int_contents, quantised, with "tensor"',
    1,
    (i) =>
      infer([
        { ...pixels([1, i.height, i.width, 3], 'INT8'), contents: { int_contents: [...i.pixels].map((v) => v - 128) } },
      ]),
    'OpenVINO',
    quantisedMethod,
  ),
  oip('an input in shared memory', 0, (i) =>
    infer([
      {
        ...pixels([1, i.height, i.width, 3]),
        parameters: { shared_memory_region: { string_param: 'a' }, shared_memory_byte_size: { int64_param: 7 } },
      },
    ]),
  ),
  oip('ModelStreamInfer, bytes_contents', 1, ({ encoded }) => infer([text(encoded)]), 'Triton', streamMethod),
  oip(
    'ModelStreamInfer, raw UINT8',
    1,
    (i) => infer([pixels([1, i.height, i.width, 3])], [i.pixels]),
    'Triton',
    streamMethod,
  ),
];

const predict = (name: string, images: number, tensors: (images: FormImages) => object): GrpcForm => ({
  name: `Predict, ${name}`,
  spokenBy: 'TensorFlow Serving, OpenVINO',
  path: predictMethod,
  images,
  message: (given) => writeRequest('Predict', { model_spec: { name: 'm' }, inputs: tensors(given) }),
});
const sides = (...shape: number[]) => ({ dim: shape.map((size) => ({ size })) });

/** Texts as `tensor_content` holds them: all lengths, then all texts. */
function packStrings(...texts: Buffer[]): Buffer {
  const lengths = texts.flatMap(({ length }) => {
    const bytes = [];
    for (let rest = length; ; rest >>= 7) {
      if (rest < 128) return [...bytes, rest];
      bytes.push((rest & 127) | 128);
    }
  });
  return Buffer.concat([Buffer.from(lengths), ...texts]);
}

const predictions: GrpcForm[] = [
  predict('string_val', 1, ({ encoded }) => ({ a: { dtype: 7, tensor_shape: sides(1), string_val: [encoded] } })),
  predict('string_val, a scalar', 1, ({ encoded }) => ({
    a: { dtype: 7, tensor_shape: sides(), string_val: [encoded] },
  })),
  predict('string_val, a batch of two', 2, ({ encoded, second }) => ({
    a: { dtype: 7, tensor_shape: sides(2), string_val: [encoded, second] },
  })),
  predict('string_val under two names', 2, ({ encoded, second }) => ({
    a: { dtype: 7, tensor_shape: sides(1), string_val: [encoded] },
    b: { dtype: 7, tensor_shape: sides(1), string_val: [second] },
  })),
  predict('string_val of base64', 1, ({ encoded }) => ({
    a: { dtype: 7, tensor_shape: sides(1), string_val: [base64(encoded)] },
  })),
  predict('tensor_content of texts', 2, ({ encoded, second }) => ({
    a: { dtype: 7, tensor_shape: sides(2), tensor_content: packStrings(encoded, second) },
  })),
  predict('tensor_content UINT8', 1, (i) => ({
    a: { dtype: 4, tensor_shape: sides(1, i.height, i.width, 3), tensor_content: i.pixels },
  })),
  predict('tensor_content UINT8 [1,3,H,W]', 1, (i) => ({
    a: { dtype: 4, tensor_shape: sides(1, 3, i.height, i.width), tensor_content: Buffer.from(planes(i)) },
  })),
  predict('tensor_content QUINT8', 1, (i) => ({
    a: { dtype: 12, tensor_shape: sides(i.height, i.width, 3), tensor_content: i.pixels },
  })),
  predict('int_val UINT8', 1, (i) => ({
    a: { dtype: 4, tensor_shape: sides(1, i.height, i.width, 3), int_val: [...i.pixels] },
  })),
  predict('float_val without "tensor"', 0, (i) => ({
    a: { dtype: 1, tensor_shape: sides(1, i.height, i.width, 3), float_val: unit(i) },
  })),
  predict('half_val without "tensor"', 0, (i) => ({
    a: { dtype: 19, tensor_shape: sides(1, i.height, i.width, 3), half_val: [...i.pixels] },
  })),
  predict('one number for all', 0, (i) => ({
    a: { dtype: 4, tensor_shape: sides(1, i.height, i.width, 3), int_val: [7] },
  })),
];

/** A field of bytes, written by hand: nobody but the sender knows these messages. */
function field(number: number, ...contents: (Buffer | string)[]): Buffer {
  const content = Buffer.concat(contents.map((part) => Buffer.from(part as string)));
  const length = [];
  for (let rest = content.length; ; rest >>= 7) {
    length.push(rest < 128 ? rest : (rest & 127) | 128);
    if (rest < 128) break;
  }
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length]), content]);
}
const other = (
  name: string,
  images: number,
  message: GrpcForm['message'],
  by = 'any',
  path = strangeMethod,
): GrpcForm => ({
  name,
  spokenBy: by,
  path,
  images,
  message,
});
const torchserve = '/org.pytorch.serve.grpc.inference.InferenceAPIsService';
const seldon = '/seldon.protos.Model/Predict';
const vertex = '/google.cloud.aiplatform.v1.PredictionService';

const others: GrpcForm[] = [
  other(
    'Predictions of gRPC',
    1,
    ({ encoded }) => Buffer.concat([field(1, 'm'), field(3, field(1, 'data'), field(2, encoded))]),
    'TorchServe',
    `${torchserve}/Predictions`,
  ),
  other(
    'StreamPredictions of gRPC',
    1,
    ({ encoded }) => Buffer.concat([field(1, 'm'), field(3, field(1, 'data'), field(2, encoded))]),
    'TorchServe',
    `${torchserve}/StreamPredictions`,
  ),
  other('binData of gRPC', 1, ({ encoded }) => field(4, encoded), 'Seldon', seldon),
  other('strData of gRPC', 1, ({ encoded }) => field(5, base64(encoded)), 'Seldon', seldon),
  other(
    'DefaultData of gRPC, numbers',
    0,
    (i) => field(3, field(2, field(2, encodeFloats(unit(i), 'FP64')))),
    'Seldon',
    seldon,
  ),
  other(
    'instances of gRPC',
    1,
    ({ encoded }) => field(2, field(5, field(1, field(1, 'content'), field(2, field(3, base64(encoded)))))),
    'Vertex AI',
    `${vertex}/Predict`,
  ),
  other(
    'RawPredict',
    1,
    ({ encoded }) => Buffer.concat([field(1, 'endpoint'), field(2, field(1, 'image/jpeg'), field(2, encoded))]),
    'Vertex AI',
    `${vertex}/RawPredict`,
  ),
  other('bytes in a message', 1, ({ encoded }) => field(1, encoded)),
  other('bytes in messages in a message', 1, ({ encoded }) =>
    field(2, field(1, 'camera'), field(7, field(1, encoded))),
  ),
  other('bytes twice in a message', 2, ({ encoded, second }) => Buffer.concat([field(1, encoded), field(1, second)])),
  other('base64 in a message', 1, ({ encoded }) => field(1, base64(encoded))),
  { ...other('bytes in a message, packed with gzip', 1, ({ encoded }) => field(1, encoded)), isGzip: true },
  other('bytes of no known kind in a message', 0, ({ pixels }) => field(1, pixels)),
  other('an address in a message', 0, () => field(1, 'https://10.0.0.1/pictures/a.jpg')),
];

/** Every form of gRPC that is tried. */
export const grpcForms: readonly GrpcForm[] = [...inferences, ...predictions, ...others];

/** What the settings say of the methods with a `tensor`. */
export const grpcFormRoutes = [
  { path: floatMethod, protocol: 'oip', tensor: {} },
  { path: wholeFloatMethod, protocol: 'oip', tensor: { scale: 1 } },
  { path: quantisedMethod, protocol: 'oip', tensor: { scale: 1, mean: [128] } },
] as const;
