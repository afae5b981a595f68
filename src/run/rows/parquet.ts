import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { fileWriter, ParquetWriter } from 'hyparquet-writer';
import { StoplineError } from '../../errors.ts';
import type { TableCell, TableColumn } from './row.ts';

/** Rows written and read at a time: what bounds the memory. */
const rowGroup = 4096;

const physical = { STRING: 'BYTE_ARRAY', DOUBLE: 'DOUBLE', INT32: 'INT32', BOOLEAN: 'BOOLEAN' } as const;

/**
 * Writes rows, whose cells are in the order of the columns, with Snappy. The same rows give the same bytes.
 */
export async function writeParquet(
  file: string,
  columns: readonly TableColumn[],
  rows: AsyncIterable<TableCell[]>,
): Promise<void> {
  const writer = new ParquetWriter({
    writer: fileWriter(file),
    createdBy: 'stopline',
    schema: [
      { name: 'root', num_children: columns.length },
      ...columns.map(({ name, type }) => ({
        name,
        type: physical[type],
        repetition_type: 'OPTIONAL' as const,
        ...(type === 'STRING' && { converted_type: 'UTF8' as const }),
      })),
    ],
  });
  let held: TableCell[][] = [];
  const flush = async () => {
    if (held.length === 0) return;
    const columnData = columns.map(({ name }, i) => ({ name, data: held.map((row) => row[i]) }));
    held = [];
    await writer.write({ columnData, rowGroupSize: rowGroup });
  };
  for await (const row of rows) {
    if (held.push(row) >= rowGroup) await flush();
  }
  await flush();
  await writer.finish();
}

/** A Parquet file, read a row group at a time. */
export interface ParquetTable extends AsyncIterable<Record<string, unknown>> {
  columns: readonly { name: string; type?: TableColumn['type'] | undefined }[];
  rows: number;
}

/**
 * @param source a path, or the bytes of a whole file
 * @throws {StoplineError} INPUT_UNREADABLE when it is not Parquet, or compressed in a way that is not read
 */
export async function openParquet(source: string | Uint8Array): Promise<ParquetTable> {
  const shown = typeof source === 'string' ? `"${source}"` : 'The manifest';
  const attempt = async <Result>(work: () => Result | Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new StoplineError('INPUT_UNREADABLE', `${shown} cannot be read as Parquet: ${message}.`, { cause });
    }
  };
  const file =
    typeof source === 'string' ? await attempt(() => asyncBufferFromFile(source)) : new Uint8Array(source).buffer;
  const metadata = await attempt(() => parquetMetadataAsync(file));
  const names = new Set(Object.values(physical));
  const columns = parquetSchema(metadata).children.map(({ element: { name, type, converted_type: converted } }) => {
    const isText = type === 'BYTE_ARRAY' && converted === 'UTF8';
    const simple = isText ? 'STRING' : type !== 'BYTE_ARRAY' && names.has(type as never) ? type : undefined;
    return { name, type: simple as TableColumn['type'] | undefined };
  });
  const rows = Number(metadata.num_rows);
  return {
    columns,
    rows,
    async *[Symbol.asyncIterator]() {
      for (let rowStart = 0; rowStart < rows; rowStart += rowGroup) {
        const rowEnd = Math.min(rows, rowStart + rowGroup);
        yield* await attempt(() => parquetReadObjects({ file, metadata, rowStart, rowEnd }));
      }
    },
  };
}
