import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readLabelRows } from '../../../src/run/labelling/labelrow.ts';
import { createObjectStore } from '../../../src/run/objects.ts';
import { temporaryFolder } from '../../fixtures/folder.ts';
import { makeLabelRow } from '../../fixtures/labels.ts';

const folder = temporaryFolder();
const row = makeLabelRow({ path: 'a.jpg' });

async function read(text: string) {
  const file = join(folder, 'rows.jsonl');
  writeFileSync(file, text);
  const rows = [];
  for await (const one of readLabelRows(file, createObjectStore())) rows.push(one);
  return rows;
}

describe('rows that somebody may label', () => {
  it('are read with what else they hold, whatever ends their lines', async () => {
    const text = JSON.stringify({ ...row, image: { ...row.image, sha256: 'a'.repeat(64) }, more: 1 });
    expect(await read(`${text}\r\n\n${text}`)).toHaveLength(2);
  });

  it('without a verdict are left out', async () => {
    expect(await read(JSON.stringify({ path: 'a', error: { code: 'STOPLINE_ERR_IMAGE_DAMAGED' } }))).toEqual([]);
  });

  it.each<[string, object]>([
    ['a checksum that leads out of a folder', { image: { ...row.image, sha256: '../../../../etc/x' } }],
    ['a checksum that is a number', { image: { ...row.image, sha256: 5 } }],
    ['a format that leads out of a folder', { image: { ...row.image, format: '/../../x' } }],
    ['sides below nothing', { image: { ...row.image, width: -1 } }],
    ['no image', { image: null }],
    ['reasons that are numbers', { reasons: [5] }],
    ['reasons that are none', { reasons: [null] }],
    ['a cause that is a number', { cause: 5 }],
    ['causes without a probability', { causes: [{ cause: 'fog' }] }],
    ['a flip rate that is a text', { expectedFlipRate: { rate: 'high' } }],
    ['statistics that are texts', { statistics: { lumaMean: 'x' } }],
    ['a projection of lists', { projection: [[1]] }],
    ['a camera that is a list', { source: [] }],
    ['another verdict', { verdict: 'constructor' }],
  ])('with %s are refused', async (_, wrong) => {
    await expect(read(JSON.stringify({ ...row, ...wrong }))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_REQUEST_INVALID',
      message: expect.stringMatching(/row of score in line 1/),
    });
  });

  it('in a line that never ends are refused', async () => {
    await expect(read('x'.repeat(64 * 1024 ** 2 + 70_000))).rejects.toMatchObject({
      code: 'STOPLINE_ERR_MANIFEST_INVALID',
    });
  });
});
