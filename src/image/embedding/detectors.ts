import type { Graph, GraphNode, GraphValue } from './graph.ts';

/** Where a detector has its class scores, in the terms of a card's outputs. */
export interface DetectorOutputs {
  classes: string | string[];
  objectness?: string[];
  labels?: string;
  cells?: { axis: number; objectness?: number; first: number; count?: number; label?: number };
  /** What kind it was taken for. */
  kind: string;
}

const scoring = /^(Sigmoid|Softmax|QLinearSigmoid)$/;
const passing = new Set('Sigmoid Softmax Transpose Identity Cast Relu'.split(' '));
const convolutions = /^(Conv|FusedConv|NhwcFusedConv|QLinearConv|ConvInteger)$/;

/** Numbers of a box, which come first in nearly every detector. */
const boxNumbers = 4;
/** Boxes of a detector, at least: fewer rows are classes, or points of one face. */
const leastBoxes = 20;

/** Tells detectors by the shapes and names of their outputs, and by how one output was joined. */
export function findDetector(graph: Graph): DetectorOutputs | undefined {
  return findJoinedMap(graph) ?? findSorted(graph) ?? findStrided(graph) ?? findPaired(graph) ?? findRows(graph);
}

const size = ({ shape }: GraphValue, place: number) => {
  const side = shape?.[place];
  return typeof side === 'number' ? side : undefined;
};

/** Boxes after suppression: boxes, scores and classes in outputs of their own (SSD of TensorFlow, torchvision). */
function findSorted({ outputs }: Graph): DetectorOutputs | undefined {
  const named = (pattern: RegExp) => outputs.find(({ name }) => pattern.test(name) && !/raw/i.test(name));
  const scores = named(/^(.*[/_.:])?(detection_)?scores?(:\d+)?$/i);
  const labels = named(/^(.*[/_.:])?(detection_)?(labels?|class(es|_?ids?)?)(:\d+)?$/i);
  const boxes = named(/box/i);
  if (!scores || !labels || !boxes || scores === labels) return undefined;
  const isRow = (value: GraphValue) => value.shape === undefined || value.shape.length <= 2;
  // Scores for each class are no sorted boxes.
  return isRow(scores) && isRow(labels)
    ? { kind: 'boxes after suppression', classes: scores.name, labels: labels.name }
    : undefined;
}

/** Scores for each box in one output, boxes in another: SSD before suppression, RT-DETR and DETR. */
function findPaired({ outputs }: Graph): DetectorOutputs | undefined {
  const maps = outputs.filter(({ shape }) => shape?.length === 3);
  const boxes = maps.find(
    (value) => size(value, 2) === boxNumbers && (/box|loc|reg/i.test(value.name) || maps.length === 2),
  );
  const scores = maps.find(
    (value) => value !== boxes && (size(value, 2) ?? 0) >= 2 && (size(value, 1) ?? leastBoxes) >= leastBoxes,
  );
  if (!boxes || !scores || (size(boxes, 1) ?? 0) !== (size(scores, 1) ?? 0)) return undefined;
  // Of two scores the first is that nothing is there.
  return { kind: 'scores of boxes', classes: scores.name, cells: { axis: 2, first: size(scores, 2) === 2 ? 1 : 0 } };
}

/** All numbers of a box in one row or one column of a single map: YOLOv5 to v11, YOLOX, RT-DETR as Ultralytics writes it. */
function findRows(graph: Graph): DetectorOutputs | undefined {
  const value = graph.outputs.find(({ shape }) => shape?.length === 3);
  const [rows, columns] = value ? [size(value, 1), size(value, 2)] : [];
  if (!value || rows === undefined || columns === undefined) return undefined;
  if (graph.outputs.some(({ shape }) => shape?.length === 2)) return undefined;
  // Masks come behind the classes of YOLO-seg, whose prototypes are a second output.
  const masks = graph.outputs.some(({ shape }) => shape?.length === 4) ? 32 : 0;
  const some = (count: number) => (masks > 0 ? { count: count - masks } : {});
  if (columns === 6 && rows >= leastBoxes && rows <= 1000)
    return { kind: 'boxes after suppression', classes: value.name, cells: { axis: 2, first: boxNumbers, label: 5 } };
  if (rows > boxNumbers && columns >= 4 * rows)
    return {
      kind: 'YOLOv8 or later',
      classes: value.name,
      cells: { axis: 1, first: boxNumbers, ...some(rows - boxNumbers) },
    };
  if (columns <= boxNumbers || rows < leastBoxes) return undefined;
  const hasFewBoxes = rows <= 1000 && rows % 100 === 0;
  if (hasFewBoxes)
    return {
      kind: 'RT-DETR',
      classes: value.name,
      cells: { axis: 2, first: boxNumbers, ...some(columns - boxNumbers) },
    };
  if (rows < 4 * columns || columns < boxNumbers + 2) return undefined;
  return {
    kind: 'YOLOv5 or YOLOX',
    classes: value.name,
    cells: { axis: 2, objectness: boxNumbers, first: boxNumbers + 1, ...some(columns - boxNumbers - 1) },
  };
}

/** One output of class scores for each stride, with or without one of objectness (YuNet, SCRFD). */
function findStrided({ outputs }: Graph): DetectorOutputs | undefined {
  const family = (pattern: RegExp) => outputs.filter(({ name }) => pattern.test(name)).map(({ name }) => name);
  const classes = family(/^(cls|class|score)_?\d+$/i);
  const objectness = family(/^(obj|iou)_?\d+$/i);
  const boxes = family(/^(bbox|box|reg)_?\d+$/i);
  if (classes.length < 2 || classes.length > 8 || boxes.length !== classes.length) return undefined;
  const shape = outputs.find(({ name }) => name === classes[0])?.shape;
  const axis = shape?.length === 4 ? 1 : shape?.length === 2 ? 1 : 2;
  return {
    kind: 'scores for each stride',
    classes,
    ...(objectness.length === classes.length && { objectness }),
    cells: { axis, first: 0 },
  };
}

/**
 * The scores of a detector whose output is one map that joins, cell by cell, boxes, classes and perhaps objectness: the
 * widest part behind a sigmoid or softmax, and one of a single number behind a sigmoid.
 */
function findJoinedMap(graph: Graph): DetectorOutputs | undefined {
  const [{ name, shape }] = graph.outputs;
  const writers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const join = writers.get(name);
  if (join?.operator !== 'Concat' || shape?.length !== 4) return undefined;
  let first = 0;
  const parts: { first: number; channels: number; isScore: boolean }[] = [];
  for (const input of join.inputs) {
    let node: GraphNode | undefined = writers.get(input);
    let isScore = false;
    while (node !== undefined && passing.has(node.operator)) {
      isScore ||= scoring.test(node.operator);
      node = writers.get(node.inputs[0]);
    }
    const channels = node && convolutions.test(node.operator) ? graph.initializers.get(node.inputs[1])?.[0] : undefined;
    if (channels === undefined) return undefined;
    parts.push({ first, channels, isScore });
    first += channels;
  }
  const last = parts[parts.length - 1];
  const objectness = parts.find(({ channels, isScore }) => isScore && channels === 1)?.first;
  // The scores are what is left of a cell's numbers from their first on.
  if (!last.isScore || last.channels < 2) return undefined;
  return {
    kind: 'one map of cells',
    classes: name,
    cells: { axis: 1, ...(objectness !== undefined && { objectness }), first: last.first },
  };
}
