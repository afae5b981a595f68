/*
 * Writes the card of the default model; its known answers come from `stopline model check --record` after it.
 * node models/train/card.ts models/default.onnx
 */
import { writeFileSync } from 'node:fs';
import { checkCardFits } from '../../src/image/embedding/card.ts';
import type { ModelCard } from '../../src/image/embedding/cardschema.ts';
import { readModel, resolveCardPath } from '../../src/image/embedding/prepare.ts';

const [, , path] = process.argv;
const { sha256, graph } = await readModel(path);
const card: ModelCard = {
  format: 'stopline-model-card',
  version: 1,
  name: 'stopline-default',
  kind: 'onnx',
  sha256,
  licence: 'Apache-2.0',
  description:
    'Tells scenes, objects and degradations apart; it knows no classes. Trained from scratch, without labels made by people, on 15,400 generated ' +
    'images (road scenes of the simulated camera of this package, composed scenes and objects, dead leaves, fractals, ' +
    'patterns, noise, random networks), each also under one of the simulated causes, and on crops of 120 photographs and simulator ' +
    'frames: CarND-Capstone (MIT), Udacity CarND (MIT), PolyU real noise (BSD-like), blur_dataset (CC0). ' +
    'Repeat it: models/train/README.md.',
  input: {
    name: 'image',
    layout: 'NCHW',
    width: 128,
    height: 128,
    channels: 3,
    kernel: 'bilinear-antialias',
    fit: 'stretch',
    colour: 'RGB',
    scale: 1 / 255,
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
  },
  outputs: { content: 'embedding', early: ['stage4', 'stage8', 'stage16'] },
  answers: [],
};
checkCardFits(card, graph);
writeFileSync(resolveCardPath(path), `${JSON.stringify(card, null, 2)}\n`);
