import type { Tensor } from '@tensorflow/tfjs-core';

type TfjsCore = typeof import('@tensorflow/tfjs-core');

/** Why an equation of Einsum is not run, or nothing: what is asked before a graph is loaded. */
export function refuseEinsum(equation: string | undefined): string | undefined {
  if (equation === undefined) return 'no equation';
  const [left, right, more] = equation.replaceAll(' ', '').split('->');
  if (right === undefined || more !== undefined) return 'no result';
  for (const term of [...left.split(','), right]) {
    if (!/^[A-Za-z]*(\.\.\.)?[A-Za-z]*$/.test(term)) return 'other signs than letters';
    const letters = term.replace('...', '');
    // A letter twice in one term is a diagonal.
    if (new Set(letters).size < letters.length) return 'a letter twice in one term';
  }
  return [...right.replace('...', '')].every((letter) => left.includes(letter)) ? undefined : 'a result from nothing';
}

/** A tensor with a letter, or a place of the ellipsis, for each axis. */
interface Labelled {
  tensor: Tensor;
  axes: string[];
}

/**
 * Einstein summation, as `tf.einsum` of TensorFlow has it, made of transpositions and products of matrices: attention of
 * Keras is written in it, and the WebAssembly backend of TensorFlow.js has no kernel for it. Operands are multiplied from left
 * to right, and what no later operand and not the result needs is summed up as early as it can be.
 * @param equation such as `abc,cd->abd`; `...` stands for axes that go along, and are stretched where they are 1
 * @param operands one for each term on the left
 * @throws {Error} where the operands do not fit the equation
 */
export function computeEinsum(core: TfjsCore, equation: string, operands: readonly Tensor[]): Tensor {
  const [left, right] = equation.replaceAll(' ', '').split('->');
  const terms = left.split(',');
  if (terms.length !== operands.length) throw new Error(`Einsum ${equation} of ${operands.length} tensors`);
  const labelled = operands.map((tensor, i) => ({ tensor, axes: labelAxes(terms[i], tensor.rank, equation) }));
  const open = Math.max(0, ...labelled.map(({ axes }) => axes.filter((axis) => axis.length > 1).length));
  const wanted = labelAxes(right, right.replace('...', '').length + (right.includes('...') ? open : 0), equation);
  return core.tidy(() => {
    let [result, ...rest] = labelled;
    while (rest.length > 0) {
      const [next, ...later] = rest;
      const needed = new Set([...wanted, ...later.flatMap(({ axes }) => axes)]);
      result = multiply(core, sumUp(core, result, new Set([...needed, ...next.axes])), next, needed);
      rest = later;
    }
    const { tensor, axes } = sumUp(core, result, new Set(wanted));
    return core.transpose(
      tensor,
      wanted.map((axis) => axes.indexOf(axis)),
    );
  });
}

/** Axes of the ellipsis are counted from their last, `.0`, so that those of several operands meet. */
function labelAxes(term: string, rank: number, equation: string): string[] {
  const [before, after] = term.split('...');
  const open = rank - term.replace('...', '').length;
  if (open < 0 || (after === undefined && open > 0)) throw new Error(`Einsum ${equation} of a tensor of ${rank} axes`);
  return [...before, ...Array.from({ length: open }, (_, i) => `.${open - 1 - i}`), ...(after ?? '')];
}

/** Sums over the axes that nobody needs. */
function sumUp(core: TfjsCore, { tensor, axes }: Labelled, needed: ReadonlySet<string>): Labelled {
  const gone = axes.flatMap((axis, i) => (needed.has(axis) ? [] : [i]));
  if (gone.length === 0) return { tensor, axes };
  return { tensor: core.sum(tensor, gone), axes: axes.filter((axis) => needed.has(axis)) };
}

/** The product of two operands as one of matrices: axes that both have and that stay are its batch. */
function multiply(core: TfjsCore, a: Labelled, b: Labelled, needed: ReadonlySet<string>): Labelled {
  const shared = a.axes.filter((axis) => b.axes.includes(axis));
  const batch = shared.filter((axis) => needed.has(axis));
  const summed = shared.filter((axis) => !needed.has(axis));
  const rows = a.axes.filter((axis) => !shared.includes(axis));
  const lone = sumUp(core, b, new Set([...needed, ...shared]));
  const columns = lone.axes.filter((axis) => !shared.includes(axis));
  const sizes = new Map<string, number>();
  for (const { tensor, axes } of [a, lone])
    for (const [i, axis] of axes.entries()) {
      const known = sizes.get(axis) ?? 1;
      const size = tensor.shape[i];
      if (known !== 1 && size !== 1 && known !== size) throw new Error(`Einsum of axes of ${known} and ${size}`);
      sizes.set(axis, known === 1 ? size : known);
    }
  const count = (axes: readonly string[]) => axes.reduce((product, axis) => product * (sizes.get(axis) as number), 1);
  const shape = (...groups: string[][]) => groups.flat().map((axis) => sizes.get(axis) as number);
  const arrange = ({ tensor, axes }: Labelled, ...groups: [string[], string[], string[]]) => {
    const order = groups.flat();
    const turned = core.transpose(
      tensor,
      order.map((axis) => axes.indexOf(axis)),
    );
    const whole = core.broadcastTo(turned, shape(...groups));
    return core.reshape(whole, groups.map(count) as [number, number, number]);
  };
  const product = core.matMul(arrange(a, batch, rows, summed), arrange(lone, batch, summed, columns));
  return { tensor: core.reshape(product, shape(batch, rows, columns)), axes: [...batch, ...rows, ...columns] };
}
