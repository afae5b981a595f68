import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { StoplineError } from '../../errors.ts';

/** Hidden, so that lists of images leave it out. */
const lockName = '.stopline.lock';
const retryMs = 100;

/**
 * Keeps a folder for one service. SQLite holds the lock by the means of the system, so that it ends with the process, however
 * that ends.
 */
export class FolderLock {
  readonly #db: Database.Database;

  private constructor(db: Database.Database) {
    this.#db = db;
  }

  /**
   * @param waitMs how long to wait for a service that is about to end
   * @throws {StoplineError} OUTPUT_UNWRITABLE where another service has the folder
   */
  static async take(folder: string, waitMs: number): Promise<FolderLock> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const db = new Database(join(folder, lockName), { timeout: 0 });
      try {
        db.pragma('locking_mode = EXCLUSIVE');
        // Nothing is ever written, so there is no journal to keep on the disk.
        db.pragma('journal_mode = MEMORY');
        db.exec('BEGIN EXCLUSIVE');
        return new FolderLock(db);
      } catch (cause) {
        db.close();
        if ((cause as { code?: string }).code !== 'SQLITE_BUSY') throw cause;
        if (performance.now() < deadline) await delay(retryMs);
        else {
          throw new StoplineError(
            'OUTPUT_UNWRITABLE',
            'Expected a quarantine folder of its own for each service but another one has it. Give each its own: --quarantine DIR',
            { cause },
          );
        }
      }
    }
  }

  release(): void {
    this.#db.close();
  }
}
