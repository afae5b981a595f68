/**
 * Runs `work` over the items with bounded concurrency and yields the results in the order of the items, holding at most
 * `concurrency` of them at a time. A rejected `work` ends the iteration with its error.
 */
export async function* mapOrdered<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  concurrency: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const running: Promise<Result>[] = [];
  for await (const item of items) {
    const result = work(item);
    result.catch(() => undefined); // reported when its turn comes
    running.push(result);
    if (running.length >= concurrency) yield await (running.shift() as Promise<Result>);
  }
  while (running.length > 0) yield await (running.shift() as Promise<Result>);
}
