import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import { statistics } from '../../../src/image/statistics/statistics.ts';
import { createColumnTypes } from '../../../src/run/judgeitems.ts';
import { writeRows } from '../../../src/run/rows/output.ts';
import { openParquet, writeParquet } from '../../../src/run/rows/parquet.ts';
import { formatRow, type Row, type TableColumn, tableColumns, tableRow } from '../../../src/run/rows/row.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';

const folder = temporaryFolder();

/** Rows as `score` makes them: numbers that no rounding leaves alone, text of every kind, and images without a verdict. */
function makeRows(count: number): Row[] {
  return Array.from({ length: count }, (_, i): Row => {
    const path = `s3://ü/"quoted", ${'深'.repeat(i % 3)}/${i}.jpg`;
    const columns = { camera: i % 4 === 0 ? null : `cam ${i % 2}`, time: i / 7, isNight: i % 3 === 0 };
    if (i % 10 === 9) return { path, columns, error: { code: 'STOPLINE_ERR_IMAGE_CORRUPT', message: `bad ${i}` } };
    return {
      path,
      columns,
      ...{
        verdict: i % 5 === 0 ? 'block' : 'pass',
        decidedBy: 'combined',
        pValue: 1 / (i + 3),
        score: Math.sin(i) * 1e9,
      },
      ...{ falseAlarmRate: { warn: 0.01, block: 0.001 }, reasons: [], detectors: [] },
      statistics: Object.fromEntries(
        statistics.map(({ name }, k) => [name, (i + k) % 11 === 0 ? null : Math.sqrt(i * 31 + k) - 5]),
      ),
      image: { format: 'jpeg', width: 480 + i, height: 270, bytes: 1000, sha256: 'ab', hash: '0', remarks: [] },
      profile: { name: 'p', sha256: 'cd' },
    } as Row;
  });
}

const manifest: TableColumn[] = [
  { name: 'camera', type: 'STRING' },
  { name: 'time', type: 'DOUBLE' },
  { name: 'isNight', type: 'BOOLEAN' },
];

describe('Parquet', () => {
  const rows = makeRows(5000);
  const file = join(folder, 'rows.parquet');
  const lines = rows.map((row) => Buffer.from(formatRow('parquet', row)));
  const names = tableColumns(manifest).map(({ name }) => name);

  it('is read back by DuckDB as it was written: names, types, nulls and every number to the last bit', async () => {
    await writeRows(file, lines, { format: 'parquet', manifest });
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const types = await connection.runAndReadAll(`DESCRIBE SELECT * FROM read_parquet('${file}')`);
    const duck = { STRING: 'VARCHAR', DOUBLE: 'DOUBLE', INT32: 'INTEGER', BOOLEAN: 'BOOLEAN' };
    expect(types.getRowsJS().map(([name, type]) => [name, type])).toEqual(
      tableColumns(manifest).map(({ name, type }) => [name, duck[type]]),
    );
    const read = (await connection.runAndReadAll(`SELECT * FROM read_parquet('${file}')`)).getRowsJS();
    expect(read).toHaveLength(rows.length);
    // As JSON, which keeps every double, because a hundred thousand assertions take their time.
    expect(rows.filter((row, i) => JSON.stringify(read[i]) !== JSON.stringify(tableRow(row)))).toEqual([]);
    connection.closeSync();
  });

  it('is read back by ourselves, in row groups of bounded size, and the same rows are the same bytes', async () => {
    const table = await openParquet(file);
    expect(table).toMatchObject({ rows: rows.length, columns: tableColumns(manifest) });
    let i = 0;
    for await (const row of table) {
      if (i % 1000 === 0) expect(names.map((name) => row[name])).toEqual(tableRow(rows[i]));
      i++;
    }
    expect(i).toBe(rows.length);
    const { row_groups: groups } = await parquetMetadataAsync(await asyncBufferFromFile(file));
    expect(groups.map(({ num_rows }) => Number(num_rows))).toEqual([4096, 904]);
  });

  it('is written in smaller row groups where its texts are long', async () => {
    const long = 'x'.repeat(2 ** 22);
    const heavy = async function* () {
      for (let i = 0; i < 20; i++) yield [`${i}`, long];
    };
    const columns: TableColumn[] = ['path', 'note'].map((name) => ({ name, type: 'STRING' }));
    await writeParquet(file, columns, heavy());
    const { row_groups: groups } = await parquetMetadataAsync(await asyncBufferFromFile(file));
    expect(groups.map(({ num_rows }) => Number(num_rows))).toEqual([16, 4]);
  });

  it('has no rows when there are none', async () => {
    await writeParquet(file, tableColumns(), (async function* () {})());
    expect(await openParquet(file)).toMatchObject({ rows: 0, columns: tableColumns() });
    writeFileSync(file, 'PAR1');
    await expect(openParquet(file)).rejects.toMatchObject({ code: 'STOPLINE_ERR_INPUT_UNREADABLE' });
  });
});

describe('createColumnTypes', () => {
  it('takes the type that all cells of a column have, else text', () => {
    const types = createColumnTypes({ columns: ['number', 'mixed', 'flag', 'empty'] });
    types.see({ columns: { number: 1, mixed: 1, flag: true, empty: null } });
    types.see({ columns: { number: null, mixed: 'a', flag: false, empty: null } });
    expect(types.columns().map(({ type }) => type)).toEqual(['DOUBLE', 'STRING', 'BOOLEAN', 'STRING']);
  });
});
