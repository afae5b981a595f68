import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { formatLabels, labelFormats, labelStudioConfig } from '../../../src/run/labelling/formats.ts';
import { type LabelImage, listTags } from '../../../src/run/labelling/tags.ts';
import { makeLabelRow } from '../../fixtures/labels.ts';

const boxes: LabelImage['boxes'] = [{ kind: 'blur', left: 16, top: 12, width: 8, height: 6 }];
const rows = [
  makeLabelRow({
    path: 'in/rain & "fog" <1>.jpg',
    verdict: 'block',
    pValue: 0.001,
    score: 7,
    reasons: [{ text: 'It is hazier.', group: 'hazy' }],
    causes: [
      { cause: 'rain', probability: 0.7 },
      { cause: 'fog', probability: 0.1 },
    ],
    cause: { text: 'Probably haze or weather\u0001.' },
    expectedFlipRate: { rate: 0.25 },
    source: 'front',
    at: 1,
  }),
  makeLabelRow({ path: 'in/fine.png' }),
];
const images: LabelImage[] = rows.map((row, i) => ({
  row,
  name: row.path.slice(3),
  location: `/data/${row.path}`,
  boxes: i === 0 ? boxes : [],
  tags: listTags(row, i === 0 ? boxes : []),
}));
const origin = { name: 'night & day', version: '1.2.3' };
const write = (format: (typeof labelFormats)[number]) => formatLabels(format, images, origin);

/** Fails unless the JSON fits the schema, with the place where it does not. */
function expectSchema(schema: object, value: unknown): void {
  const validate = new Ajv({ strict: false }).compile(schema);
  validate(value);
  expect(validate.errors).toBeNull();
}

it('tags verdict, what is seen, probable causes, camera and tiles', () => {
  expect(images[0].tags).toEqual(['block', 'seen:hazy', 'cause:rain', 'source:front', 'tile:blur']);
  expect(images[1].tags).toEqual(['pass']);
});

it.each(labelFormats)('%s has no image where there is none', (format) => {
  const text = formatLabels(format, [], origin);
  expect(format === 'cvat' || format === 'jsonl' || typeof JSON.parse(text)).toBeTruthy();
});

describe('coco', () => {
  // https://cocodataset.org/#format-data, object detection.
  const schema = {
    type: 'object',
    required: ['info', 'licenses', 'images', 'annotations', 'categories'],
    properties: {
      images: {
        items: {
          required: ['id', 'file_name', 'width', 'height'],
          properties: { id: { type: 'integer' }, file_name: { type: 'string' }, width: { type: 'integer' } },
        },
      },
      annotations: {
        items: {
          required: ['id', 'image_id', 'category_id', 'segmentation', 'area', 'bbox', 'iscrowd'],
          properties: {
            bbox: { type: 'array', minItems: 4, maxItems: 4, items: { type: 'number' } },
            segmentation: { type: 'array' },
            iscrowd: { enum: [0, 1] },
          },
        },
      },
      categories: { items: { required: ['id', 'name', 'supercategory'] } },
    },
  };

  it('fits the published format, with ids that are unique and lead somewhere', () => {
    const coco = JSON.parse(write('coco'));
    expectSchema(schema, coco);
    const ids = (list: { id: number }[]) => list.map(({ id }) => id);
    for (const list of [coco.images, coco.annotations, coco.categories])
      expect(new Set(ids(list)).size).toBe(list.length);
    for (const { image_id, category_id, bbox, area } of coco.annotations) {
      expect(ids(coco.images)).toContain(image_id);
      expect(ids(coco.categories)).toContain(category_id);
      expect(area).toBe(bbox[2] * bbox[3]);
    }
    expect(coco.annotations).toHaveLength(3);
    expect(coco.annotations[0]).toMatchObject({ bbox: [0, 0, 64, 48], attributes: { pValue: 0.001 } });
  });
});

describe('label-studio', () => {
  it('predicts only what its labelling interface knows, in percent of the image', () => {
    const tasks = JSON.parse(write('label-studio'));
    expect(tasks.map(({ id }: { id: number }) => id)).toEqual([1, 2]);
    const results = tasks.flatMap(({ predictions }: { predictions: { result: object[] }[] }) => predictions[0].result);
    expect(results).toHaveLength(3);
    for (const { from_name, to_name, type, value } of results as Record<string, never>[]) {
      const [, tag, body] = new RegExp(`<(\\w+) name="${from_name}" toName="${to_name}".*?>(.*?)</\\1>`, 's').exec(
        labelStudioConfig,
      )!;
      expect(type).toBe(tag.toLowerCase());
      for (const choice of value[type] as string[]) expect(body).toContain(`value="${choice}"`);
    }
    expect(results[1].value).toMatchObject({ x: 25, y: 25, width: 12.5, height: 12.5, rotation: 0 });
    // What the interface shows is in every task.
    for (const [, field] of labelStudioConfig.matchAll(/\$(\w+)/g))
      for (const { data } of tasks) expect(data).toHaveProperty(field);
  });
});

describe('cvat', () => {
  it('is well-formed, escapes what XML needs, and names only labels of its task', () => {
    const xml = write('cvat');
    const open: string[] = [];
    for (const [, close, name, empty] of xml.matchAll(/<(\/?)([a-z_]+)[^<>]*?(\/?)>/g)) {
      if (close) expect(open.pop()).toBe(name);
      else if (!empty) open.push(name);
    }
    expect(open).toEqual([]);
    expect(xml).toContain('<version>1.1</version>');
    expect(xml).toContain('name="rain &amp; &quot;fog&quot; &lt;1&gt;.jpg" width="64" height="48"');
    expect(xml).toContain('Probably haze or weather\ufffd.');
    const labels = [...xml.matchAll(/<label><name>(\w+)</g)].map(([, name]) => name);
    for (const [, name] of xml.matchAll(/ label="(\w+)"/g)) expect(labels).toContain(name);
    expect(xml).toContain(
      '<box label="blur" source="file" occluded="0" xtl="16.00" ytl="12.00" xbr="24.00" ybr="18.00"',
    );
  });
});

describe('fiftyone', () => {
  it('declares every field of every sample, by the names of its classes', () => {
    const { sample_fields, samples, media_type } = JSON.parse(write('fiftyone'));
    expect(media_type).toBe('image');
    expect(samples).toHaveLength(2);
    for (const sample of samples) {
      const { _media_type, ...fields } = sample;
      expect(Object.keys(fields).sort()).toEqual(Object.keys(sample_fields).sort());
    }
    expect(samples[0].verdict).toEqual({ _cls: 'Classification', tags: [], label: 'block', confidence: 0.999 });
    expect(samples[0].evidence.detections[0]).toMatchObject({
      bounding_box: [0.25, 0.25, 0.125, 0.125],
      label: 'blur',
    });
  });
});

describe('jsonl', () => {
  it('is one object a line, with room for a label', () => {
    const lines = write('jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({
      path: rows[0].path,
      label: null,
      verdict: 'block',
      evidence: boxes,
      source: 'front',
    });
    expect(lines[1]).toMatchObject({ path: 'in/fine.png', tags: ['pass'], width: 64 });
  });
});
