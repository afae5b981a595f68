import Fastify from 'fastify';
import { loadCore } from '../../core/index.ts';
import { asStoplineError } from '../../errors.ts';
import { protocols } from '../../gate/protocols/protocols.ts';
import { decode } from '../../image/decode.ts';
import { defaultModelPath } from '../../image/embedding/choose.ts';
import { openPrepared } from '../../image/embedding/open.ts';
import { prepareModel } from '../../image/embedding/prepare.ts';

/** Largest request in bytes. */
const bodyLimit = 32 * 1024 * 1024;

/**
 * A small model server, for the demo and the tests of the gate: answers the Open Inference Protocol with what an ONNX network
 * makes of each image. It runs the network in its own thread, one image after the other.
 *
 * @param options.model path of the model; default: that of this package
 */
export async function startModelServer(options: { model?: string; port?: number } = {}) {
  const { model: path = defaultModelPath, port = 0 } = options;
  const { model } = await prepareModel(path);
  const embedder = await openPrepared(model, { core: loadCore() });
  const { model: name, dimension } = embedder.info;
  const app = Fastify({ bodyLimit });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, _request, reply) => {
    const { status, message } = asStoplineError(error);
    return reply.code(status).send({ error: message });
  });
  app.get('/v2', async () => ({ name: 'stopline-model-server', version: '1', extensions: ['binary_tensor_data'] }));
  app.get('/v2/health/live', async () => ({ live: true }));
  app.get('/v2/health/ready', async () => ({ ready: true }));
  app.get(`/v2/models/${name}/ready`, async () => ({ name, ready: true }));
  app.get(`/v2/models/${name}`, async () => ({
    name,
    platform: 'onnx_onnxv1',
    inputs: [{ name: 'image', datatype: 'BYTES', shape: [-1] }],
    outputs: [{ name: 'embedding', datatype: 'FP32', shape: [-1, dimension] }],
  }));
  app.post(`/v2/models/${name}/infer`, async (request) => {
    const { images, id } = await protocols.oip.find({ body: request.body as Buffer, headers: request.headers }, {});
    const data: number[] = [];
    for (const image of images) {
      const frame = image instanceof Uint8Array ? (await decode(image)).frame : image;
      const [row] = await embedder.embed([frame]);
      for (const value of row) data.push(value);
    }
    const output = { name: 'embedding', datatype: 'FP32', shape: [images.length, dimension], data };
    return { model_name: name, ...(id !== undefined && { id }), outputs: [output] };
  });
  const url = await app.listen({ host: '127.0.0.1', port });
  return { url, name, dimension, close: () => app.close() };
}
