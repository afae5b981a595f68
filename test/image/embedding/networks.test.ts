import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { collectModels } from '../../../scripts/models/collect.ts';
import { judgeModel, type Row } from '../../../scripts/models/judge.ts';

const folder = process.env.STOPLINE_NETWORKS;
if (!folder)
  console.warn(
    'Networks of other people are not tried: STOPLINE_NETWORKS names no folder of npm packages (docs/models.md lists them)',
  );
const work = mkdtempSync(join(tmpdir(), 'stopline-networks-'));
afterAll(() => rmSync(work, { recursive: true }));

it.skipIf(!folder)(
  'networks of other people run or are refused by a code, and no proposal is wrong without saying that it is assumed',
  async () => {
    const rows: Row[] = [];
    const seen = new Set<string>();
    for (const model of collectModels(join(folder as string, 'node_modules'), work))
      rows.push(...[await judgeModel(model, seen)].filter((row) => row !== undefined));
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter(({ verdict }) => verdict === 'wrong')).toEqual([]);
    for (const { name, runs } of rows) expect(runs, name).toMatch(/^((wasm|cpu|tensorflow), \d{2,}|MODEL_[A-Z_]+)$/);
  },
  1_200_000,
);
