import type { ErrorJson } from '../../errors.ts';
import { release } from '../../image/frame.ts';
import { answerWith } from '../../run/workers/answer.ts';
import { type DatabaseSettings, readCode, StoreDatabase } from './database.ts';

type Method = 'open' | 'commit' | 'monitor' | 'summaries' | 'alerts' | 'verdicts' | 'transitions' | 'trend' | 'reasons';

/** A method of the database with its arguments. */
export type StoreTask = {
  [Name in Method]: { method: Name; values: Parameters<StoreDatabase[Name]> };
}[Method];

/** What SQLite answered, or its code; and what has happened to the file since the thread began. */
export interface StoreAnswer {
  value?: unknown;
  failed?: ErrorJson;
  generation: number;
  setAside: readonly string[];
}

/** Entry of the store's thread: one task in, one answer out, in order. */
export function openWorker(settings: DatabaseSettings) {
  const database = new StoreDatabase(settings);
  const answer = (result: Pick<StoreAnswer, 'value' | 'failed'>) => {
    const { generation, setAside } = database;
    return { ...result, generation, setAside };
  };
  const perform = ({ method, values }: StoreTask): StoreAnswer => {
    try {
      const call = database[method] as (...given: unknown[]) => unknown;
      return answer({ value: call.apply(database, values) });
    } catch (error) {
      const code = readCode(error);
      if (!code.startsWith('SQLITE_')) throw error;
      return answer({ failed: { code, message: (error as Error).message } });
    }
  };
  return (task: StoreTask) =>
    answerWith(() => {
      const result = perform(task);
      // Megabytes in every batch, copied for this thread: they are given back at once.
      if (task.method === 'commit') for (const { state } of task.values[0].monitors) release(state);
      return result;
    });
}
