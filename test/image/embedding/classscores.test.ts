import { expect, it } from 'vitest';
import type { ModelCard } from '../../../src/image/embedding/cardschema.ts';
import { classScores, compareAnswers, decideAnswer } from '../../../src/image/embedding/classscores.ts';

const makeCard = (outputs: Partial<ModelCard['outputs']>) =>
  ({ name: 'net', outputs: { content: 'c', early: [], ...outputs } }) as unknown as ModelCard;
const found = (dimensions: number[], data: ArrayLike<number>) => ({
  classes: [{ dimensions, data: Float32Array.from(data) }],
  objectness: [],
});
const rows = (scores: Float32Array[]) => scores.map((row) => [...row]);

it('scores of a classifier are a row for each frame, whatever axes of length 1 there are', () => {
  const data = Float32Array.of(1, 2, 3, 4, 5, 6);
  for (const dimensions of [
    [2, 3],
    [2, 3, 1, 1],
    [2, 1, 1, 3],
  ])
    expect(rows(classScores(found(dimensions, data), makeCard({})))).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
});

// Cells of four numbers: objectness, a box of one number, two classes.
const cells = [
  [0.5, 9, 0.2, 0.8],
  [1, 9, 0.3, 0.1],
  [0.1, 9, 1, 1],
];
const best = [Math.fround(0.3), Math.fround(0.5 * Math.fround(0.8))];
it.each([
  ['a row for each cell (YOLOv5)', [1, 3, 4], 2, cells.flat()],
  ['a column for each cell (YOLOv8)', [1, 4, 3], 1, [0, 1, 2, 3].flatMap((i) => cells.map((cell) => cell[i]))],
  ['a map (FastestDet)', [1, 4, 1, 3], 1, [0, 1, 2, 3].flatMap((i) => cells.map((cell) => cell[i]))],
  ['a map with the numbers last (TensorFlow)', [1, 3, 1, 4], 3, cells.flat()],
])('of a detector with %s, each class has its surest cell', (_, dimensions, axis, data) => {
  const output = found(dimensions, data);
  const [scores] = classScores(output, makeCard({ cells: { axis, objectness: 0, first: 2 } }));
  for (const [i, score] of scores.entries()) expect(score).toBeCloseTo(best[i], 6);
  const [plain] = classScores(output, makeCard({ cells: { axis, first: 2 } }));
  expect([...plain]).toEqual([1, 1]);
});

it('frames of a batch do not mix', () => {
  const data = Float32Array.from([...cells.flat(), ...cells.flat().map((value) => -value)]);
  const [first, second] = classScores(found([2, 3, 4], data), makeCard({ cells: { axis: 2, first: 2 } }));
  expect([...first]).toEqual([1, 1]);
  expect(second[0]).toBeCloseTo(-0.2, 6);
  expect(second[1]).toBeCloseTo(-0.1, 6);
});

it.each([
  ['a map and nothing said of cells', [1, 4, 3, 1], {}],
  ['an axis with too few numbers', [1, 3, 4], { cells: { axis: 1, first: 4 } }],
  ['an axis that is not there', [1, 12], { cells: { axis: 3, first: 0 } }],
])('%s is an error that says what came', (_, dimensions, outputs) => {
  const output = found(dimensions, new Float32Array(12));
  expect(() => classScores(output, makeCard(outputs))).toThrow(
    expect.objectContaining({
      code: 'STOPLINE_ERR_MODEL_UNSUPPORTED',
      message: expect.stringContaining(dimensions.slice(1).join(' x ')),
    }),
  );
});

it('where strides have maps and objectness of their own (YuNet), each class has its surest cell of all of them', () => {
  const map = (dimensions: number[], values: number[]) => ({ dimensions, data: Float32Array.from(values) });
  const outputs = {
    classes: [map([1, 2, 1], [0.9, 0.5]), map([1, 1, 1], [0.8])],
    objectness: [map([1, 2, 1], [0.5, 0.25]), map([1, 1, 1], [0.75])],
  };
  const [[score]] = classScores(outputs, makeCard({ cells: { axis: 2, first: 0 } }));
  expect(score).toBeCloseTo(0.6, 6);
  expect(() =>
    classScores({ ...outputs, objectness: [outputs.objectness[1]] }, makeCard({ cells: { axis: 2, first: 0 } })),
  ).toThrow(/one number of objectness for each of 2 cells of "net" but received 1/);
});

it('numbers behind the classes are left out where their count is said', () => {
  const [scores] = classScores(
    found([1, 2, 4], [0.1, 0.2, 9, 9, 0.3, 0.1, 9, 9]),
    makeCard({ cells: { axis: 2, first: 0, count: 2 } }),
  );
  expect([...scores]).toEqual([Math.fround(0.3), Math.fround(0.2)]);
});

it.each([
  ['in outputs of their own, row by row (TensorFlow)', [1, 3], { labels: 'l' }],
  ['in outputs of their own, as many as were found (torchvision)', [3], { labels: 'l' }],
  ['in one row for each box (YOLOv10)', [1, 3, 6], { cells: { axis: 2, first: 4, label: 5 } }],
])('of boxes that are sorted out already, %s, each class that is there has a score', (_, dimensions, outputs) => {
  const [scores, labels] = [
    [0.5, 0.75, 0.25],
    [2, 0, 2],
  ];
  const data = dimensions.length === 3 ? scores.flatMap((score, i) => [1, 2, 3, 4, score, labels[i]]) : scores;
  const given = { ...found(dimensions, data), labels: { dimensions, data: Float32Array.from(labels) } };
  const [row] = classScores('labels' in outputs ? given : found(dimensions, data), makeCard(outputs));
  expect([...row]).toEqual([0.75, 0, 0.5]);
  expect(decideAnswer(row, makeCard({ ...outputs, threshold: 0.6 })).classes).toEqual([0]);
});

it('a class that is not among the sorted boxes any more has fallen to nothing', () => {
  const card = makeCard({ threshold: 0.5, labels: 'l' });
  const [clean, now] = [Float32Array.of(0, 0, 0.8), Float32Array.of(0.5)].map((row) => decideAnswer(row, card));
  expect(compareAnswers(clean, now).isFlipped).toBe(true);
  expect(compareAnswers(clean, now).fall).toBeCloseTo(0.8, 6);
});

const answer = (scores: number[], threshold?: number) =>
  decideAnswer(Float32Array.from(scores), makeCard(threshold === undefined ? {} : { threshold }));

it('the answer of a classifier is its likeliest class, from logits or probabilities', () => {
  expect(answer([0, Math.log(3), -20]).classes).toEqual([1]);
  expect(answer([0, Math.log(3), -20]).scores[1]).toBeCloseTo(0.75, 6);
  const given = Float32Array.of(0.25, 0.5, 0.25);
  expect(decideAnswer(given, makeCard({}))).toEqual({ classes: [1], scores: given });
  expect(() => answer([1])).toThrow(expect.objectContaining({ code: 'STOPLINE_ERR_MODEL_UNSUPPORTED' }));
});

it('with a threshold it is every class of at least that', () => {
  expect(answer([0.5, 0.2, 0.9], 0.5).classes).toEqual([0, 2]);
  expect(answer([0.1], 0.5).classes).toEqual([]);
  expect(answer([3], 0).classes).toEqual([0]);
});

it('an answer flips when a class comes or goes; confidence is that in the clean answer', () => {
  const clean = answer([0.75, 0.25, 0]);
  expect(compareAnswers(clean, answer([0.5, 0.25, 0.25]))).toEqual({ isFlipped: false, fall: 0.25 });
  expect(compareAnswers(clean, answer([0.25, 0.5, 0.25]))).toEqual({ isFlipped: true, fall: 0.5 });
  const several = answer([1, 0.75, 0], 0.5);
  expect(compareAnswers(several, answer([1, 0.25, 0], 0.5))).toEqual({ isFlipped: true, fall: 0.25 });
  expect(compareAnswers(several, answer([1, 0.75, 0.5], 0.5))).toEqual({ isFlipped: true, fall: 0 });
  const nothing = answer([0, 0, 0], 0.5);
  expect(compareAnswers(nothing, answer([0, 0, 0.25], 0.5))).toEqual({ isFlipped: false, fall: 0 });
});
