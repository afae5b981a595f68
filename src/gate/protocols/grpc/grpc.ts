import { defaultLimits } from '../../../image/frame.ts';
import type { ProtocolName, Route } from '../../../settings.ts';
import { readFrames, unpackFrame } from '../../bodies/grpcframes.ts';
import { WireReader } from '../../bodies/protobuf.ts';
import type { FoundImages, ReadRequest, Where } from '../protocol.ts';
import { undescribed } from '../protocols.ts';
import { Search } from '../search.ts';
import { boundedImages } from '../tensor.ts';
import { findInModelInfer } from './oip.ts';
import { MessageSearch } from './search.ts';
import { findInPredict } from './tfserving.ts';

/** Finds the images of one message. @throws {StoplineError} UNINSPECTED, REQUEST_INVALID, REQUEST_TOO_LARGE */
export type MessageFinder = (message: Buffer, where: Where) => Promise<FoundImages>;

/** A message on a method that is known to carry images. */
async function findKnown(message: Buffer, where: Where): Promise<FoundImages> {
  const search = new Search(where);
  const reader = new WireReader();
  await new MessageSearch(search, reader).lookInto(reader.list(message));
  return search.finish();
}

/** A message on a method that nobody has described: it may hold no image, and then nothing in it can be one. */
async function findAny(message: Buffer, where: Where): Promise<FoundImages> {
  const search = new Search(where);
  const reader = new WireReader();
  await new MessageSearch(search, reader).lookInto(reader.list(message));
  return search.isEmpty && where.input === undefined ? { images: [] } : search.finish();
}

/** How each protocol looks in messages of gRPC. */
export const messageFinders: Readonly<Record<ProtocolName, MessageFinder>> = {
  oip: findInModelInfer,
  tfserving: findInPredict,
  torchserve: findKnown,
  image: findKnown,
  find: findAny,
  pass: async () => ({ images: [] }),
};

const inference = '/inference.GRPCInferenceService';
const prediction = '/tensorflow.serving.PredictionService';
const torchserve = '/org.pytorch.serve.grpc.inference.InferenceAPIsService';

/** Methods that take images. */
const judged: readonly Route[] = [
  { path: `${inference}/ModelInfer`, protocol: 'oip' },
  { path: `${inference}/ModelStreamInfer`, protocol: 'oip' },
  { path: `${prediction}/Predict`, protocol: 'tfserving' },
  { path: `${torchserve}/Predictions`, protocol: 'torchserve' },
  { path: `${torchserve}/StreamPredictions`, protocol: 'torchserve' },
];

/** Methods that carry no image whatever is in them: models, traces and questions about them. */
const passed: readonly string[] = [
  // Not a star: ModelInfer is one of this service, and so may be a method of tomorrow.
  ...['ServerLive', 'ServerReady', 'ModelReady', 'ServerMetadata', 'ModelMetadata', 'ModelStatistics', 'ModelConfig'],
  ...['RepositoryIndex', 'RepositoryModelLoad', 'RepositoryModelUnload', 'TraceSetting', 'LogSettings'],
  ...['SystemSharedMemoryStatus', 'SystemSharedMemoryRegister', 'SystemSharedMemoryUnregister'],
  ...['CudaSharedMemoryStatus', 'CudaSharedMemoryRegister', 'CudaSharedMemoryUnregister'],
].map((method) => `${inference}/${method}`);

const services: readonly string[] = [
  '/inference.model_repository.ModelRepositoryService/*',
  `${prediction}/GetModelMetadata`,
  '/tensorflow.serving.ModelService/*',
  `${torchserve}/Ping`,
  '/org.pytorch.serve.grpc.management.ManagementAPIsService/*',
  '/grpc.health.v1.Health/*',
  '/grpc.reflection.v1.ServerReflection/*',
  '/grpc.reflection.v1alpha.ServerReflection/*',
];

/** What each method is taken for unless the configuration says otherwise. */
export const methodRoutes: readonly Route[] = [
  ...judged,
  ...[...passed, ...services].map((path): Route => ({ path, protocol: 'pass' })),
];

/** The images of a call whose messages have come as one body. @throws {StoplineError} UNINSPECTED, REQUEST_* */
export async function findInGrpcBody(
  { body, headers, bodyLimit = defaultLimits.maxBytes }: ReadRequest,
  route: Route | undefined,
): Promise<FoundImages> {
  const { protocol, ...where } = route ?? undescribed;
  const found: FoundImages = { images: [] };
  for (const frame of readFrames(body)) {
    const message = await unpackFrame(frame, headers['grpc-encoding'] as string | undefined, bodyLimit);
    const { images, unjudged, id } = await messageFinders[protocol](message, where);
    boundedImages(found.images.length + Math.max(images.length, 1));
    found.images.push(...images);
    if (unjudged) found.unjudged = unjudged;
    if (id !== undefined) found.id = id;
  }
  return found;
}
