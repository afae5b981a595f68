import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { fileWriter, ParquetWriter } from 'hyparquet-writer';
import { StoplineError } from '../../errors.ts';
import type { TableCell, TableColumn } from './row.ts';

/** Rows written and read at a time: what bounds the memory. */
const rowGroup = 4096;
/** Images or long texts in a table make its rows heavy: then there are fewer at a time, so that about so many bytes are held. */
const heldBytes = 64 * 1024 * 1024;

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
  let heldLength = 0;
  const flush = async () => {
    if (held.length === 0) return;
    heldLength = 0;
    const columnData = columns.map(({ name }, i) => ({ name, data: held.map((row) => row[i]) }));
    held = [];
    await writer.write({ columnData, rowGroupSize: rowGroup });
  };
  for await (const row of rows) {
    for (const cell of row) if (typeof cell === 'string') heldLength += cell.length;
    if (held.push(row) >= rowGroup || heldLength >= heldBytes) await flush();
  }
  await flush();
  await writer.finish();
}

export interface ParquetColumn {
  name: string;
  type?: TableColumn['type'] | undefined;
  /** It holds bytes that are no text. */
  isBinary: boolean;
  /** Names of the fields of a column that is a group. */
  fields: readonly string[];
}

/** A Parquet file, read a row group at a time. */
export interface ParquetTable extends AsyncIterable<Record<string, unknown>> {
  columns: readonly ParquetColumn[];
  rows: number;
}

type Tree = ReturnType<typeof parquetSchema>;

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
  const rows = Number(metadata.num_rows);
  return {
    columns: parquetSchema(metadata).children.map(describeColumn),
    rows,
    async *[Symbol.asyncIterator]() {
      const { compressors } = await import('hyparquet-compressors');
      let groupStart = 0;
      for (const group of metadata.row_groups) {
        const groupEnd = groupStart + Number(group.num_rows);
        const count = countRowsAtATime(Number(group.total_byte_size), groupEnd - groupStart);
        for (let rowStart = groupStart; rowStart < groupEnd; rowStart += count) {
          const rowEnd = Math.min(groupEnd, rowStart + count);
          // Bytes that are no text stay bytes: as text they would be copied into rows.
          yield* await attempt(() =>
            parquetReadObjects({ file, metadata, rowStart, rowEnd, compressors, utf8: false }),
          );
        }
        groupStart = groupEnd;
      }
    },
  };
}

function describeColumn({ element, children }: Tree['children'][number]): ParquetColumn {
  const { name, type, converted_type: converted } = element;
  const isBytes = type === 'BYTE_ARRAY' || type === 'FIXED_LEN_BYTE_ARRAY';
  const isText = type === 'BYTE_ARRAY' && (converted === 'UTF8' || element.logical_type?.type === 'STRING');
  const isPlain = type !== undefined && !isBytes && Object.values(physical).includes(type as never);
  return {
    name,
    type: isText ? 'STRING' : isPlain ? (type as TableColumn['type']) : undefined,
    isBinary: isBytes && !isText && converted === undefined && element.logical_type === undefined,
    fields: children.map((child) => child.element.name),
  };
}

function countRowsAtATime(bytes: number, rows: number): number {
  const fit = Math.floor(heldBytes / Math.max(1, bytes / Math.max(1, rows)));
  return Math.min(rowGroup, Math.max(1, fit));
}
