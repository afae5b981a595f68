import { asStoplineError } from '../../errors.ts';
import { serve } from '../../server/serve.ts';
import type { Config } from '../../settings.ts';
import { note, printable } from '../terminal.ts';
import type { GalleryExample } from './gallery.ts';
import { startModelServer } from './modelserver.ts';

/** What a client of the model saw. */
export interface GateAnswer {
  label: string;
  status: number;
  verdict: string;
  /** The numbers that the model gave, or why it was not asked. */
  answer: string;
}

/** Sends frames through an enforcing gate to a real model server, as a client of that server would. */
export async function throughGate(config: Config, examples: readonly GalleryExample[]): Promise<GateAnswer[]> {
  const model = await startModelServer().catch((error) => {
    note(`no gate is shown, because the model does not run here: ${printable(asStoplineError(error).message)}`);
  });
  if (!model) return [];
  const gate = await serve({ ...config, port: 0, upstream: model.url, mode: 'enforce', onError: 'closed' });
  try {
    const answers: GateAnswer[] = [];
    for (const { label, bytes } of examples) {
      const data = [Buffer.from(bytes).toString('base64')];
      const response = await fetch(`${gate.url}/v2/models/${model.name}/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], data }] }),
      });
      const body = (await response.json()) as { outputs?: { shape: number[] }[]; error?: string };
      const [reason] = (response.headers.get('x-stopline-reasons') ?? '').split(', ');
      answers.push({
        label,
        status: response.status,
        verdict: response.headers.get('x-stopline-verdict') ?? '',
        answer: body.outputs ? `${body.outputs[0].shape.join(' x ')} numbers of the model` : `refused: ${reason}`,
      });
    }
    return answers;
  } finally {
    await gate.close();
    await model.close();
  }
}
