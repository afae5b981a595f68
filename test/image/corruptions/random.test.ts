import { describe, expect, it } from 'vitest';
import { openWorkspace } from '../../../src/core/workspace.ts';
import { addNoise } from '../../../src/image/corruptions/noise.ts';
import { Random } from '../../../src/image/corruptions/random.ts';

describe('draws in a workspace', () => {
  it.each([1, 2, 7, 1000])('are those of the generator, and leave it in its state: %i of them', (count) => {
    const [here, there] = [new Random(3), new Random(3)];
    const space = openWorkspace();
    expect(space.words(there.placeWords(space, count), count)).toEqual(here.words(count));
    const normals = there.placeNormals(space, count, 0.3, 1.7);
    expect(space.floats(normals, count)).toEqual(here.normals(count, 0.3, 1.7));
    expect(there.state).toEqual(here.state);
  });

  it('add noise with the deviation of each value', () => {
    const data = Uint8Array.from(new Random(5).words(1001), (word) => word >>> 24);
    const deviation = Float32Array.from({ length: 256 }, (_, v) => v / 7);
    const normals = new Random(9).normals(1001);
    const expected = data.map((v, i) => Math.min(255, Math.max(0, v + deviation[v] * normals[i] + 0.5)));
    expect(addNoise(data, deviation, new Random(9))).toEqual(expected);
  });
});
