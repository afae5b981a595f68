import { describe, expect, it } from 'vitest';
import { findDetector } from '../../../src/image/embedding/detectors.ts';
import { readGraph } from '../../../src/image/embedding/graph.ts';
import { findLayers } from '../../../src/image/embedding/layers.ts';
import { conv, int, ints, model, node, tensor, value } from '../../fixtures/onnxfile.ts';

type Outputs = Record<string, (number | string)[]>;

/** A network with a trunk of 48 channels at stride 8, which its outputs are made of. */
function readOutputs(outputs: Outputs) {
  return readGraph(
    model({
      nodes: [
        conv('image', 'a', 'k', 4),
        conv('a', 'trunk', 'k2', 2),
        conv('trunk', 'h', 'k2', 1),
        ...Object.keys(outputs).map((name) => node('Reshape', ['h', `${name}_shape`], [name])),
      ],
      inputs: [value('image', [1, 3, 320, 320])],
      outputs: Object.entries(outputs).map(([name, shape]) => value(name, shape)),
      initializers: [
        ...[tensor('k', [48, 3, 3, 3], new Float32Array(48 * 27)), tensor('k_bias', [48], new Float32Array(48))],
        ...[tensor('k2', [48, 48, 3, 3], new Float32Array(48 * 48 * 9)), tensor('k2_bias', [48], new Float32Array(48))],
        ...Object.keys(outputs).map((name) => tensor(`${name}_shape`, [3], [1, 1, 1])),
      ],
    }),
  );
}

describe('detectors are told by their outputs', () => {
  it.each<[string, Outputs, object]>([
    ['YOLOv5', { y: [1, 25200, 85] }, { classes: 'y', cells: { axis: 2, objectness: 4, first: 5 } }],
    ['YOLOX', { y: [1, 8400, 85] }, { classes: 'y', cells: { axis: 2, objectness: 4, first: 5 } }],
    ['YOLOv5 of one class', { y: ['batch', 25200, 6] }, { classes: 'y', cells: { axis: 2, objectness: 4, first: 5 } }],
    ['YOLOv8 and v11', { y: [1, 84, 8400] }, { classes: 'y', cells: { axis: 1, first: 4 } }],
    ['YOLOv8 of one class', { y: [1, 5, 8400] }, { classes: 'y', cells: { axis: 1, first: 4 } }],
    ['YOLOv8 with masks', { y: [1, 116, 8400], m: [1, 32, 160, 160] }, { cells: { axis: 1, first: 4, count: 80 } }],
    ['YOLOv10', { y: [1, 300, 6] }, { classes: 'y', cells: { axis: 2, first: 4, label: 5 } }],
    ['RT-DETR of Ultralytics', { y: [1, 300, 84] }, { classes: 'y', cells: { axis: 2, first: 4 } }],
    [
      'RT-DETR with boxes of its own',
      { logits: [1, 300, 80], boxes: [1, 300, 4] },
      { classes: 'logits', cells: { axis: 2, first: 0 } },
    ],
    [
      'SSD before suppression',
      { scores: [1, 4420, 2], boxes: [1, 4420, 4] },
      { classes: 'scores', cells: { axis: 2, first: 1 } },
    ],
    [
      'SSD of TensorFlow',
      {
        detection_boxes: [1, 100, 4],
        detection_classes: [1, 100],
        detection_scores: [1, 100],
        num_detections: [1],
      },
      { classes: 'detection_scores', labels: 'detection_classes' },
    ],
    ['torchvision', { boxes: ['n', 4], labels: ['n'], scores: ['n'] }, { classes: 'scores', labels: 'labels' }],
    [
      'YuNet',
      Object.fromEntries(
        ['cls', 'obj', 'bbox'].flatMap((part) =>
          [8, 16, 32].map((stride) => [`${part}_${stride}`, [1, (320 / stride) ** 2, part === 'bbox' ? 4 : 1]]),
        ),
      ),
      {
        classes: ['cls_8', 'cls_16', 'cls_32'],
        objectness: ['obj_8', 'obj_16', 'obj_32'],
        cells: { axis: 2, first: 0 },
      },
    ],
  ])('%s', (_, outputs, expected) => {
    const graph = readOutputs(outputs);
    expect(findDetector(graph)).toMatchObject(expected);
    expect(findLayers(graph)).toMatchObject({ content: 'trunk', threshold: 0.5 });
  });

  it.each<[string, Outputs]>([
    ['a classifier', { y: [1, 1000] }],
    ['a classifier whose scores have three axes', { y: [1, 1, 1000] }],
    ['tokens', { y: [1, 197, 768] }],
    ['points of one face', { y: [1, 468, 3] }],
    ['a mask', { y: [1, 1, 320, 320] }],
  ])('%s is none', (_, outputs) => {
    expect(findDetector(readOutputs(outputs))).toBeUndefined();
  });
});

describe('heads', () => {
  const found = (nodes: Uint8Array[], outputs: Outputs, weights: Record<string, number[]>) =>
    findLayers(
      readGraph(
        model({
          nodes: [conv('image', 'map', 'k', 4), ...nodes],
          inputs: [value('image', [1, 3, 64, 64])],
          outputs: Object.entries(outputs).map(([name, shape]) => value(name, shape)),
          initializers: [
            ...[tensor('k', [64, 3, 3, 3], new Float32Array(64 * 27)), tensor('k_bias', [64], new Float32Array(64))],
            ...Object.entries(weights).map(([name, dims]) =>
              tensor(name, dims, new Float32Array(dims.reduce((a, b) => a * b, 1))),
            ),
          ],
        }),
      ),
    );
  const pooled = [node('GlobalAveragePool', ['map'], ['p']), node('Flatten', ['p'], ['f'])];

  it('Conv, GlobalAveragePool, Softmax: what the convolution reads, and the scores before the softmax', () => {
    const nodes = [
      node('Conv', ['map', 'w'], ['s'], [ints('kernel_shape', [3, 3])]),
      node('GlobalAveragePool', ['s'], ['p']),
      node('Flatten', ['p'], ['l']),
      node('Softmax', ['l'], ['y'], [int('axis', 1)]),
    ];
    expect(found(nodes, { y: [1, 10] }, { w: [10, 64, 3, 3] })).toMatchObject({ content: 'map', classes: 'l' });
  });

  it('a single sigmoid is there from one half on, a single logit from 0 on', () => {
    const head = [...pooled, node('Gemm', ['f', 'w'], ['l'])];
    expect(found([...head, node('Sigmoid', ['l'], ['y'])], { y: [1, 1] }, { w: [64, 1] })).toMatchObject({
      ...{ content: 'f', classes: 'y', threshold: 0.5 },
    });
    expect(found(head, { l: [1, 1] }, { w: [64, 1] })).toMatchObject({ classes: 'l', threshold: 0 });
  });

  it('a head of several layers is passed where the last of them reads few numbers', () => {
    const nodes = [
      ...pooled,
      node('Gemm', ['f', 'w1'], ['n']),
      node('Relu', ['n'], ['r']),
      node('Gemm', ['r', 'w2'], ['l']),
    ];
    const layers = found(nodes, { l: [1, 5] }, { w1: [64, 2], w2: [2, 5] });
    expect(layers).toMatchObject({ content: 'f', classes: 'l' });
    expect(layers.reason).toContain('before the last layer');
  });

  it('of several outputs the one with the most classes is the classifier', () => {
    const nodes = [...pooled, node('Gemm', ['f', 'w1'], ['age']), node('Gemm', ['f', 'w2'], ['kind'])];
    expect(found(nodes, { age: [1, 1], kind: [1, 7] }, { w1: [64, 1], w2: [64, 7] }).classes).toBe('kind');
  });
});
