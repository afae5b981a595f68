import { join } from 'node:path';
import { attribute, node, savedModel, writeSavedModel } from '../../test/fixtures/savedmodelfile.ts';
import type { Outcome, Stage } from './target.ts';

/** Operators of TensorFlow that write, print, fetch, call a host or keep a state, and one that there is none of. */
const hostile = [
  ...['SaveV2', 'PrintV2', 'WriteSummary', 'DebugIdentityV2', 'RpcCall', 'XlaHostCompute', 'LookupTableExportV2'],
  ...['DeserializeManySparse', 'OutfeedEnqueue', 'CollectiveReduceV2', 'TPUExecute', 'NoSuchOperator'],
];

/** SavedModels with operators that no classifier needs: refused by name, before anything could run them. */
export async function run(stage: Stage): Promise<Outcome> {
  const taken: string[] = [];
  const asked = hostile.slice(0, stage.count);
  for (const operator of asked) {
    const pb = savedModel({
      nodes: [
        node('x', 'Placeholder', [], { dtype: attribute.type(1) }),
        node('y', operator, ['x'], { T: attribute.type(1) }),
      ],
      signatures: {
        serving_default: {
          inputs: [{ key: 'image', tensor: 'x:0', shape: [-1, 8, 8, 3] }],
          outputs: [{ key: 'answer', tensor: 'y:0', shape: [-1, 5] }],
        },
      },
    });
    const folder = writeSavedModel(join(stage.folder, `model-${operator}`), pb);
    const { stdout, stderr } = await stage.command(['model', 'inspect', folder]);
    const code = /STOPLINE_ERR_(\w+)/.exec(stdout + stderr)?.[1];
    if (code !== 'MODEL_OPERATOR' || !(stdout + stderr).includes(operator)) taken.push(`${operator}: ${code}`);
  }
  return {
    ok: taken.length === 0,
    figures: `${taken.length} of ${asked.length} SavedModels with operators of no classifier are not refused by their names${taken.length > 0 ? ` (${taken.join(', ')})` : ''}`,
  };
}
