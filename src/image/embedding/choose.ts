import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadCore } from '../../core/index.ts';
import { StoplineError } from '../../errors.ts';
import type { Limits } from '../frame.ts';
import type { ModelCard } from './cardschema.ts';
import type { EmbedderInfo } from './embedder.ts';
import { loadOnnxRuntime } from './onnx.ts';
import { openPrepared, type PreparedModel } from './open.ts';
import { prepareModel } from './prepare.ts';

/** The model that comes with the package, wherever that is installed. */
export const defaultModelPath = fileURLToPath(new URL('../../../models/default.onnx', import.meta.url));

/** The model that a Profile is to be fitted with. */
export interface ChosenModel {
  /** None: statistics alone. */
  model?: PreparedModel;
  /** What is only guessed about it, because it has no card. */
  guesses: string[];
  /** Why there is none although nobody said so. */
  missing?: string;
}

/**
 * Finds the model that `fit` was asked for.
 * @param asked `none`, `default`, or a path as of `readModel`; undefined: the default where it can be run
 * @param limits of them `maxModelBytes` and `maxModelNodes`
 * @throws {StoplineError} what `prepareModel` throws, where a model was asked for
 */
export async function chooseModel(asked?: string, limits?: Limits): Promise<ChosenModel> {
  if (asked === 'none') return { guesses: [] };
  if (asked !== undefined && asked !== 'default') return prepareModel(asked, { limits });
  try {
    if (!existsSync(defaultModelPath)) {
      throw new StoplineError('MODEL_UNREADABLE', 'Expected the default model in this package but it is not there.');
    }
    await loadOnnxRuntime();
    return await prepareModel(defaultModelPath, { isOwn: true });
  } catch (error) {
    if (!(error instanceof StoplineError)) throw error;
    const { code, message } = error;
    const isAbsent = code === 'STOPLINE_ERR_MODEL_UNREADABLE' || code === 'STOPLINE_ERR_MODEL_RUNTIME';
    if (asked !== undefined || !isAbsent) throw error;
    return { guesses: [], missing: message };
  }
}

/**
 * Opens the default model, for `stopline doctor`.
 * @returns what runs it, or why it is not used
 */
export async function examineDefaultModel(device: 'cpu' | 'gpu'): Promise<EmbedderInfo | { missing: string }> {
  try {
    const { model } = await chooseModel('default');
    const embedder = await openPrepared(model as PreparedModel, { core: loadCore(), device });
    await embedder.close();
    return embedder.info;
  } catch (error) {
    return { missing: (error as Error).message };
  }
}

/**
 * Finds the model that a Profile was fitted with.
 * @param fitted what the Profile says of it
 * @param path where it lies; default: the model of this package
 * @param limits of them `maxModelBytes` and `maxModelNodes`
 * @throws {StoplineError} MODEL_UNREADABLE and MODEL_CHECKSUM saying which model to name, and what `prepareModel` throws
 */
export async function findModel(
  fitted: { name: string; sha256: string; card: ModelCard },
  path: string = defaultModelPath,
  limits?: Limits,
): Promise<PreparedModel> {
  const { name, sha256, card } = fitted;
  const isOwn = path === defaultModelPath || path === 'default';
  try {
    const { model } = await prepareModel(isOwn ? defaultModelPath : path, { card, isOwn, limits });
    return model;
  } catch (error) {
    if (!(error instanceof StoplineError)) throw error;
    const { code, message } = error;
    const isOther = code === 'STOPLINE_ERR_MODEL_CHECKSUM';
    if (!isOther && code !== 'STOPLINE_ERR_MODEL_UNREADABLE') throw error;
    const received = !isOther ? message : isOwn ? 'the model of this package is another' : `"${path}" is another`;
    throw new StoplineError(
      isOther ? 'MODEL_CHECKSUM' : 'MODEL_UNREADABLE',
      `Expected the model "${name}", sha256 ${sha256.slice(0, 16)}, that the profile was fitted with: ${received.replace(/\.$/, '')}. Name its file: --model FILE, or STOPLINE_MODEL`,
      { cause: error },
    );
  }
}
