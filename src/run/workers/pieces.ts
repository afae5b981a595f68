/** Most bytes of an array that cross to a process in one message: a message is copied whole before it is sent. */
export const pieceBytes = 1024 * 1024;

/** A part of an array that is too long for one message. */
export interface Piece {
  piece: Uint8Array;
  /** Where in the array it belongs; the first, at 0, begins one. */
  at: number;
  /** Bytes of the array. */
  length: number;
}

/** Where an array belongs in a task: the names of the fields that lead to it. */
type Path = readonly string[];

/** A task without its long arrays. */
export interface TaskApart {
  task: unknown;
  /** Where they belong, in order. */
  paths: Path[];
  arrays: Uint8Array[];
}

/** Takes long arrays out of a task, which stays as it is. */
export function takeApart(task: unknown): TaskApart {
  const paths: Path[] = [];
  const arrays: Uint8Array[] = [];
  const walk = (value: unknown, path: Path): unknown => {
    if (value instanceof Uint8Array && value.length > pieceBytes) {
      paths.push(path);
      arrays.push(value);
      return undefined;
    }
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, walk(field, [...path, name])]));
  };
  return { task: walk(task, []), paths, arrays };
}

/** The pieces of an array, in order. */
export function* cutPieces(array: Uint8Array): Generator<Piece> {
  const { length } = array;
  for (let at = 0; at < length; at += pieceBytes) yield { piece: array.subarray(at, at + pieceBytes), at, length };
}

/** Makes arrays of pieces, and tasks of these and of what came without them. */
export class Pieces {
  #arrays: Uint8Array[] = [];

  add({ piece, at, length }: Piece): void {
    if (at === 0) this.#arrays.push(new Uint8Array(length));
    this.#arrays.at(-1)?.set(piece, at);
  }

  /** Puts the arrays that have come back to where they belong. */
  join({ task, paths }: Omit<TaskApart, 'arrays'>): unknown {
    let whole = task;
    for (const [i, path] of paths.entries()) {
      const name = path.at(-1);
      if (name === undefined) whole = this.#arrays[i];
      else {
        const holder = path.slice(0, -1).reduce((value, field) => value[field], task as Record<string, never>);
        Object.assign(holder, { [name]: this.#arrays[i] });
      }
    }
    this.#arrays = [];
    return whole;
  }
}
