import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import Database from 'better-sqlite3';
import { isSource } from '../core/entry.ts';
import { decoderVersion } from '../image/decode.ts';
import { decodeRule } from '../image/decoderule.ts';
import { readImage } from '../image/file.ts';
import { defaultLimits } from '../image/frame.ts';
import { version } from '../version.ts';
import type { Pool } from './pool.ts';
import type { EncodedImage } from './task.ts';

/** The version of the file, and of what stands in it. */
const formatVersion = 1;
/** Most bytes of measurements that are kept; those that were not used for longest go first. */
const defaultMaxBytes = 1024 ** 3;
/** How long another process that writes is waited for. */
const busyMs = 1000;

/**
 * Measurements of images that were made before, so that a fit which was stopped, or is repeated with other options, does not
 * measure them again. They are found by the bytes of the image and by everything that decides what is measured on them: the
 * code, the libraries, the networks, and what was asked for. One file of SQLite: what is written is there whole or not at
 * all, also after a crash, and several fits may use it at once.
 *
 * Nothing here may make a fit fail: where the file cannot be used, images are measured.
 */
export class Measurements {
  readonly #database: Database.Database;
  readonly #maxBytes: number;
  readonly #used = new Set<Buffer>();
  #context: Uint8Array = new Uint8Array();
  #hits = 0;
  #misses = 0;

  private constructor(database: Database.Database, maxBytes: number) {
    this.#database = database;
    this.#maxBytes = maxBytes;
  }

  /**
   * @param folder is made where it is not there
   * @throws an error of the file system or of SQLite where it cannot be used
   */
  static open(folder: string, { maxBytes = defaultMaxBytes }: { maxBytes?: number } = {}): Measurements {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, `measurements-${formatVersion}.sqlite`);
    const database = new Database(file, { timeout: busyMs });
    try {
      // Embeddings tell something of the images.
      chmodSync(file, 0o600);
      database.pragma('auto_vacuum = INCREMENTAL');
      database.pragma('journal_mode = WAL');
      database.pragma('synchronous = NORMAL');
      database.exec(`CREATE TABLE IF NOT EXISTS measurement (
        key BLOB PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL, used INTEGER NOT NULL) STRICT`);
      return new Measurements(database, maxBytes);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** How many measurements were found, and how many were made. */
  get counts(): { hits: number; misses: number } {
    return { hits: this.#hits, misses: this.#misses };
  }

  /**
   * A pool that looks here before it measures.
   * @param context what decides its measurements beside the code: its networks and its core
   */
  attach(pool: Pool, context: unknown): Pool {
    this.#context = hashAll([JSON.stringify([formatVersion, readVersions(), context])]);
    const kept: Pick<Pool, 'measure' | 'simulate'> = {
      measure: (image) => this.#find(image, 'measure', () => pool.measure(image)),
      simulate: (image, simulations, options) =>
        this.#find(image, JSON.stringify([simulations, options?.asks ?? false]), () =>
          pool.simulate(image, simulations, options),
        ),
    };
    return Object.assign(Object.create(pool), kept);
  }

  /** Forgets what was not used for longest, beyond the limit, and closes the file. */
  close(): void {
    try {
      this.#shrink();
    } catch {
      // Another process is at it, or the disk is full: the next one tries again.
    }
    this.#database.close();
  }

  async #find<Value>(image: EncodedImage, asked: string, measure: () => Promise<Value>): Promise<Value> {
    const sha256 = hashImage(image);
    // What cannot be read is the pool's to tell.
    if (sha256 === undefined) return measure();
    const key = hashAll([this.#context, sha256, asked]);
    const found = this.#read<Value>(key);
    if (found !== undefined) {
      this.#hits++;
      return found;
    }
    this.#misses++;
    const value = await measure();
    // A file may have changed between the two looks at it.
    const [first] = Array.isArray(value) ? value : [value];
    if (first?.sha256 === sha256.toString('hex')) this.#write(key, value);
    return value;
  }

  #read<Value>(key: Buffer): Value | undefined {
    try {
      const row = this.#database.prepare('SELECT value, crc FROM measurement WHERE key = ?').get(key) as
        | { value: Buffer; crc: number }
        | undefined;
      if (row === undefined || crc32(row.value) !== row.crc) return undefined;
      this.#used.add(key);
      return deserialize(row.value) as Value;
    } catch {
      return undefined;
    }
  }

  #write(key: Buffer, value: unknown): void {
    try {
      const bytes = serialize(value);
      this.#database
        .prepare('INSERT OR REPLACE INTO measurement VALUES (?, ?, ?, ?)')
        .run(key, bytes, crc32(bytes), Date.now());
    } catch {
      // A full disk, say: it is measured again next time.
    }
  }

  #shrink(): void {
    const touch = this.#database.prepare('UPDATE measurement SET used = ? WHERE key = ?');
    this.#database.transaction(() => {
      for (const key of this.#used) touch.run(Date.now(), key);
    })();
    const count = (name: string) => this.#database.pragma(name, { simple: true }) as number;
    const size = () => (count('page_count') - count('freelist_count')) * count('page_size');
    const oldest = this.#database.prepare(
      'DELETE FROM measurement WHERE rowid IN (SELECT rowid FROM measurement ORDER BY used, rowid LIMIT 16)',
    );
    while (size() > this.#maxBytes && oldest.run().changes > 0);
    this.#database.pragma('incremental_vacuum');
  }
}

function hashAll(parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest();
}

function hashImage(image: EncodedImage): Buffer | undefined {
  try {
    const source = typeof image === 'string' ? readImage(image, defaultLimits.maxBytes) : image;
    if (source instanceof Uint8Array) return createHash('sha256').update(source).digest();
    return createHash('sha256').update(`${source.codec} `).update(source.bytes).digest();
  } catch {
    return undefined;
  }
}

let versions: unknown[] | undefined;

/** Everything but the image and the networks that decides what is measured, in a checkout down to the code itself. */
function readVersions(): unknown[] {
  const { v8 } = process.versions;
  versions ??= [
    version,
    decodeRule,
    decoderVersion,
    v8,
    process.platform,
    process.arch,
    isSource(import.meta.url) && hashCode(),
  ];
  return versions;
}

/** The files of the rooms that measure, which change in a checkout without a new version. */
function hashCode(): string {
  const parts: (string | Uint8Array)[] = [];
  for (const room of ['core', 'image']) {
    const folder = fileURLToPath(new URL(`../${room}/`, import.meta.url));
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => /\.([jt]s|[ch]|wasm|node)$/.test(name)).sort()) {
      parts.push(`${room}/${file}`, readFileSync(join(folder, file)));
    }
  }
  return hashAll(parts).toString('hex');
}
