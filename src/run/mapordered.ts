/**
 * Runs `work` over the items with bounded concurrency and yields the results in the order of the items, holding at most
 * `concurrency` of them at a time. A rejected `work` ends the iteration with its error.
 * @param bound also holds back when the weights of the items at work exceed a limit
 */
export async function* mapOrdered<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  concurrency: number,
  work: (item: Item) => Promise<Result>,
  bound: { weigh: (item: Item) => number; limit: number } = { weigh: () => 0, limit: 0 },
): AsyncGenerator<Result> {
  const running: { result: Promise<Result>; weight: number }[] = [];
  let weight = 0;
  const next = () => {
    const first = running.shift() as (typeof running)[number];
    weight -= first.weight;
    return first.result;
  };
  for await (const item of items) {
    const result = work(item);
    result.catch(() => undefined); // reported when its turn comes
    running.push({ result, weight: bound.weigh(item) });
    weight += bound.weigh(item);
    while (running.length >= concurrency || weight > bound.limit) yield await next();
  }
  while (running.length > 0) yield await next();
}
