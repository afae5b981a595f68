import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isLabelFile, readAccepted } from '../../../src/run/labelling/accepted.ts';
import { formatLabels } from '../../../src/run/labelling/formats.ts';
import type { LabelImage } from '../../../src/run/labelling/tags.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { makeLabelRow } from '../../fixtures/labels.ts';

const folder = temporaryFolder();
const images: LabelImage[] = ['a & b.jpg', 'c.jpg', 'd.jpg'].map((name) => ({
  row: makeLabelRow({ path: join(folder, name) }),
  name,
  location: join(folder, name),
  boxes: [],
  tags: ['pass'],
}));
const written = (format: 'coco' | 'cvat' | 'fiftyone' | 'label-studio' | 'jsonl') =>
  formatLabels(format, images, { name: 'test', version: '0' });
const wanted = { paths: [join(folder, 'a & b.jpg')], others: 2 };

function save(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** What each tool gives back when somebody has accepted the first image and rejected the second. */
const answers: Record<string, () => string> = {
  'JSON lines': () => {
    const lines = written('jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    lines[0].label = 'accept';
    lines[1].label = 'reject';
    return save('lines.jsonl', lines.map((line) => JSON.stringify(line)).join('\n'));
  },
  COCO: () => {
    const coco = JSON.parse(written('coco'));
    const id = (name: string) => coco.categories.find((category: { name: string }) => category.name === name).id;
    coco.annotations.push({ image_id: 1, category_id: id('accept') }, { image_id: 2, category_id: id('reject') });
    return save('coco.json', coco);
  },
  'Label Studio': () => {
    const tasks = JSON.parse(written('label-studio'));
    const annotation = (choice: string, rest = {}) => [
      { result: [{ from_name: 'label', type: 'choices', value: { choices: [choice] } }], ...rest },
    ];
    tasks[0].annotations = annotation('accept');
    tasks[1].annotations = annotation('reject');
    // Skipped by the person, so not an answer.
    tasks[2].annotations = annotation('accept', { was_cancelled: true });
    return save('tasks.json', tasks);
  },
  'Label Studio, JSON-MIN': () =>
    save(
      'min.json',
      images.map(({ name, row }, i) => ({ image: name, path: row.path, label: i === 0 ? 'accept' : 'reject' })),
    ),
  CVAT: () =>
    save(
      'annotations.xml',
      written('cvat')
        .replace('</tag>', '</tag><tag label="accept" source="manual"></tag>')
        .replace(/(name="c\.jpg"[^>]*>)/, '$1<tag label="reject" source="manual"></tag>'),
    ),
  'FiftyOne, by a tag': () => {
    const data = JSON.parse(written('fiftyone'));
    data.samples[0].tags.push('accept');
    data.samples[1].tags.push('reject');
    return save('tags.json', data);
  },
  'FiftyOne, by a classification': () => {
    const data = JSON.parse(written('fiftyone'));
    data.samples[0].ground_truth = { _cls: 'Classification', label: 'accept' };
    return save('classified.json', data);
  },
};

describe.each(Object.keys(answers))('%s', (tool) => {
  it('gives back what was accepted', async () => {
    expect(await readAccepted(answers[tool]())).toEqual(wanted);
  });
});

it('finds the files of Label Studio below a folder that is named', async () => {
  const file = save('local.json', [{ data: { image: '/data/local-files/?d=x%2Fa%20b.jpg' }, label: 'ok' }]);
  expect(await readAccepted(file, { label: 'ok', root: '/images' })).toEqual({
    paths: ['/images/x/a b.jpg'],
    others: 0,
  });
});

it('says which labels there are where none accepts', async () => {
  await expect(readAccepted(answers['JSON lines'](), { label: 'good' })).rejects.toMatchObject({
    code: 'STOPLINE_ERR_REQUEST_INVALID',
    message: expect.stringMatching(/labelled "good".*3 images have "accept", "reject".*--accept-label/),
  });
});

it.each(['[1]', '{"a": 1}', '<svg/>', 'text', ''])('refuses %j, which holds no labels', async (content) => {
  await expect(readAccepted(save('other.json', content))).rejects.toMatchObject({
    code: 'STOPLINE_ERR_REQUEST_INVALID',
  });
});

it('tells files of labels from images', async () => {
  expect(['a.json', 'a.JSONL', 'a.xml'].map(isLabelFile)).toEqual([true, true, true]);
  expect(['a.jpg', 'a', 's3://bucket/a.json'].map(isLabelFile)).toEqual([false, false, false]);
  await expect(readAccepted(join(folder, 'missing.json'))).rejects.toMatchObject({
    code: 'STOPLINE_ERR_INPUT_NOT_FOUND',
  });
});

describe('a hostile file of labels', () => {
  const accept = (name: string) => ({ image: name, label: 'accept' });

  it.each<[string, unknown, RegExp]>([
    ['an image without a name, which would be the whole folder', [{ label: 'accept' }], /name of every image/],
    ['an empty name', [accept('')], /name of every image/],
    ['a name that is no text', [{ image: 5, label: 'accept' }], /name of every image/],
    ['half an escape in a name', [accept('/data/local-files/?d=a%')], /encoding of URLs/],
    ['numbers in place of tasks', [1, 2], /received something else/],
    ['a list that holds itself in strings', '[[[[[[[[', /received something else/],
    ['CVAT without images', '<annotations></annotations>', /0 images have no labels/],
  ])('with %s is refused', async (name, content, words) => {
    const file = save(`${name.length}.json`, content);
    await expect(readAccepted(file)).rejects.toMatchObject({
      code: 'STOPLINE_ERR_REQUEST_INVALID',
      message: expect.stringMatching(words),
    });
  });

  it('keeps a sign as it stands that Unicode does not have', async () => {
    const image = '<image name="&#x110000;&#99999999;&#x63;.jpg"><tag label="accept"/></image>';
    const { paths } = await readAccepted(save('signs.xml', `<annotations>${image}</annotations>`));
    expect(paths).toEqual([join(folder, '&#x110000;&#99999999;c.jpg')]);
  });

  it('has as many labels of one image as it likes', async () => {
    const annotations = Array.from({ length: 200_000 }, () => ({ image_id: 1, category_id: 1 }));
    const coco = { images: [{ id: 1, file_name: 'a.jpg' }], annotations, categories: [{ id: 1, name: 'accept' }] };
    expect((await readAccepted(save('many.json', coco))).paths).toEqual([join(folder, 'a.jpg')]);
  });
});
