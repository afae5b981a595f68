import type { Core } from '../../core/core.ts';
import { StoplineError } from '../../errors.ts';
import type { Limits } from '../frame.ts';
import type { ModelCard } from './cardschema.ts';
import { checkAnswers, createEmbedder, type Embedder } from './embedder.ts';
import type { NetworkCheck } from './network.ts';
import { openOnnx } from './onnx.ts';

/** A model that may be opened, in any thread; it can be sent to one as it is. */
export interface PreparedModel {
  files: Uint8Array[];
  card: ModelCard;
  /** What the CPU answered when the model was first loaded; every thread and provider must answer the same. */
  answers: ModelCard['answers'];
  /** Within which it was read, where these are not the usual ones. */
  limits?: Limits;
}

export interface OpenOptions {
  core: Core;
  /** `gpu` tries graphics cards first and falls back to the CPU, with the reasons in `info.failed`. */
  device?: 'cpu' | 'gpu' | undefined;
}

/**
 * Opens a prepared model in this thread. Meant for worker threads: a run blocks its thread. A network in WebAssembly that fails on an
 * image is opened anew before the next one.
 * @throws {StoplineError} MODEL_RUNTIME, MODEL_FAILED, MODEL_ANSWER when even the CPU does not give the known answers
 */
export async function openPrepared(model: PreparedModel, options: OpenOptions): Promise<Embedder> {
  const open = () => openOnce(model, options);
  const first = await open();
  return model.card.kind === 'onnx' ? first : openAnew(first, open);
}

/**
 * Kernels of WebAssembly that go wrong may have written over the memory that the next run reads. So what has failed is not asked again:
 * another one takes its place, after it has given the known answers.
 */
function openAnew(first: Embedder, open: () => Promise<Embedder>): Embedder {
  let current: Promise<Embedder> | undefined = Promise.resolve(first);
  async function ask<Answers>(question: (embedder: Embedder) => Promise<Answers>): Promise<Answers> {
    current ??= open();
    const asked = current;
    try {
      const answers = await question(await asked);
      // What failed meanwhile on another image may have spoilt these.
      return current === asked ? answers : ask(question);
    } catch (error) {
      if (current === asked) {
        current = undefined;
        await asked.then((embedder) => embedder.close()).catch(() => undefined);
      }
      throw error;
    }
  }
  return {
    info: first.info,
    embed: (frames) => ask((embedder) => embedder.embed(frames)),
    classify: (frames) => ask((embedder) => embedder.classify(frames)),
    answer: (frames) => ask((embedder) => embedder.answer(frames)),
    close: async () => (await current)?.close(),
  };
}

async function openOnce(model: PreparedModel, { core, device }: OpenOptions): Promise<Embedder> {
  const { card, files, answers, limits } = model;
  let opened: Embedder | undefined;
  let differs: string | undefined;
  const check: NetworkCheck = async (network) => {
    const embedder = await createEmbedder(network, card, core);
    const wrong = (await checkAnswers(embedder, [...answers, ...card.answers])).filter(({ ok }) => !ok);
    if (wrong.length === 0) {
      opened = embedder;
      return undefined;
    }
    const worst = Math.max(...wrong.map(({ difference }) => difference));
    differs = `its answers differ from the known ones by ${worst.toPrecision(2)} of the largest number`;
    return differs;
  };
  try {
    if (card.kind === 'onnx') await openOnnx({ bytes: files[0], card, device, check, limits });
    else if (card.kind === 'tflite')
      await (await import('./litert.ts')).openLiteRt({ bytes: files[0], card, check, limits });
    else await (await import('./tfjs.ts')).openTfjs({ files, card, check });
  } catch (error) {
    if (differs === undefined) throw error;
    throw new StoplineError('MODEL_ANSWER', `Expected the known answers of "${card.name}" but ${differs}.`, {
      cause: error,
    });
  }
  return opened as Embedder;
}
