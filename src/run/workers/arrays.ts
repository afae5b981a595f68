/**
 * Arrays shorter than this cross to a process within the message of their task. Longer ones go through a pipe of their own: a message is
 * copied when it is sent, put together from what is read of it, and copied again when it is taken apart.
 */
export const shortArray = 4096;

/** Where an array belongs in a task: the names of the fields that lead to it, and its bytes. */
interface ArrayPlace {
  path: readonly string[];
  length: number;
}

/** A task without its long arrays. */
export interface TaskApart {
  task: unknown;
  /** Where they belong, in the order in which they are sent. */
  places: ArrayPlace[];
}

/** Takes long arrays out of a task, which stays as it is. */
export function takeApart(task: unknown): TaskApart & { arrays: Uint8Array[] } {
  const places: ArrayPlace[] = [];
  const arrays: Uint8Array[] = [];
  const walk = (value: unknown, path: readonly string[]): unknown => {
    if (value instanceof Uint8Array && value.length >= shortArray) {
      places.push({ path, length: value.length });
      arrays.push(value);
      return undefined;
    }
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, walk(field, [...path, name])]));
  };
  return { task: walk(task, []), places, arrays };
}

/**
 * Puts the arrays of a task back to where they belong.
 * @param read gives the next bytes that were sent, so many
 */
export function putTogether({ task, places }: TaskApart, read: (length: number) => Uint8Array): unknown {
  let whole = task;
  for (const { path, length } of places) {
    const array = read(length);
    const name = path.at(-1);
    if (name === undefined) whole = array;
    else {
      const holder = path.slice(0, -1).reduce((value, field) => value[field], task as Record<string, never>);
      Object.assign(holder, { [name]: array });
    }
  }
  return whole;
}
