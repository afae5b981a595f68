import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createObjectStore } from '../../../src/run/objects.ts';
import { mergeRows } from '../../../src/run/rows/merge.ts';
import { writeRows } from '../../../src/run/rows/output.ts';
import { openParquet } from '../../../src/run/rows/parquet.ts';
import { formatRow, type Row, type RowFormat, type TableColumn } from '../../../src/run/rows/row.ts';
import { createTally } from '../../../src/run/rows/tally.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const store = createObjectStore();
const invalid = (text: string) => ({ code: 'STOPLINE_ERR_PART_INVALID', message: expect.stringContaining(text) });

function rows(from: number, to: number): Row[] {
  return Array.from({ length: to - from }, (_, i) => ({
    path: `a\n"b", ${from + i}.jpg`,
    columns: { camera: from + i },
    error: { code: 'STOPLINE_ERR_IMAGE_EMPTY', message: 'ü "x"\r\ny' },
  }));
}

async function write(name: string, list: Row[], camera: TableColumn['type'] = 'DOUBLE') {
  const format = name.split('.')[1] as RowFormat;
  const lines = list.map((row) => Buffer.from(formatRow(format, row)));
  await writeRows(at(name), lines, { format, manifest: [{ name: 'camera', type: camera }] });
  return at(name);
}

describe('mergeRows', () => {
  it.each(['jsonl', 'csv', 'parquet'])('joins parts of %s to what one run writes, byte for byte', async (ending) => {
    const parts = [
      await write(`p0.${ending}`, rows(0, 300)),
      await write(`p1.${ending}`, []),
      await write(`p2.${ending}`, rows(300, 1000)),
    ];
    expect(await mergeRows(parts, at(`all.${ending}`), store)).toBe(1000);
    const single = await write(`single.${ending}`, rows(0, 1000));
    expect(readFileSync(at(`all.${ending}`)).equals(readFileSync(single))).toBe(true);
    const again = await write(`again.${ending}`, rows(299, 300));
    const twice = mergeRows([parts[0], parts[2], parts[1], again], at(`twice.${ending}`), store);
    await expect(twice).rejects.toMatchObject(invalid(`is in "${parts[0]}" and "${again}"`));
  });

  it('makes text of a column that has not the same type in all Parquet parts', async () => {
    const parts = [await write('n.parquet', rows(0, 2)), await write('s.parquet', rows(2, 4), 'STRING')];
    await mergeRows(parts, at('ns.parquet'), store);
    const { columns, ...table } = await openParquet(at('ns.parquet'));
    expect(columns[1]).toMatchObject({ name: 'camera', type: 'STRING' });
    const cameras: unknown[] = [];
    for await (const { camera } of { [Symbol.asyncIterator]: () => table[Symbol.asyncIterator]() })
      cameras.push(camera);
    expect(cameras).toEqual(['0', '1', '2', '3']);
  });

  it('refuses what is not whole or does not fit', async () => {
    const good = await write('good.jsonl', rows(0, 3));
    writeFileSync(at('cut.jsonl'), readFileSync(good).subarray(0, -5));
    await expect(mergeRows([at('cut.jsonl')], at('x.jsonl'), store)).rejects.toMatchObject(invalid('no end'));
    writeFileSync(at('other.jsonl'), '{"a": 1}\n');
    await expect(mergeRows([at('other.jsonl')], at('x.jsonl'), store)).rejects.toMatchObject(invalid('not a row'));
    await expect(mergeRows([good], at('x.csv'), store)).rejects.toMatchObject(invalid('one format'));
    const csv = await write('good.csv', rows(0, 3));
    writeFileSync(at('short.csv'), 'path\r\na\r\n');
    await expect(mergeRows([csv, at('short.csv')], at('x.csv'), store)).rejects.toMatchObject(invalid('its columns'));
  });
});

describe('addCounts', () => {
  it('of parts counts what one tally of all rows counts', () => {
    const counts = [
      { path: 'a', verdict: 'pass' as const, reasons: [] },
      { path: 'b', verdict: 'block' as const, reasons: [{ group: 'bright' as const }] },
      { path: 'c', error: { code: 'STOPLINE_ERR_IMAGE_EMPTY', message: '' } },
      { path: 'd', verdict: 'warn' as const, reasons: [{ group: 'bright' as const }] },
      { path: 'e', error: { code: 'STOPLINE_ERR_IMAGE_EMPTY', message: '' } },
    ];
    const tally = (list: typeof counts) => {
      const one = createTally();
      for (const row of list) one.add(row);
      return one;
    };
    const merged = createTally();
    merged.addCounts(tally(counts.slice(0, 3)).toJSON());
    merged.addCounts(tally(counts.slice(3)).toJSON());
    expect(merged.toJSON()).toEqual(tally(counts).toJSON());
    expect(merged.toJSON()).toMatchObject({ images: 5, failed: 2, errors: [{ count: 2, example: 'c' }] });
  });
});
