import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { readError, renderFolder, runHere, temporaryFolder } from '../fixtures/cli.ts';
import { fitOnce, wholeProfile } from '../fixtures/fitted.ts';

const folder = temporaryFolder();
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  for (const path of await renderFolder(at('frames'), 2))
    writeFileSync(`${path}.png`, await sharp(readFileSync(path)).png().toBuffer());
});

/** Crops by a manifest of these rows. */
function crop(rows: string[], ...flags: string[]) {
  writeFileSync(at('boxes.csv'), `${rows.join('\n')}\n`);
  return runHere(['crop', '--manifest', at('boxes.csv'), '--out', at('crops'), ...flags]);
}

describe('stopline crop', () => {
  it('writes the pixels of each box into a folder of its class, and a manifest', async () => {
    const frame = at('frames/frame0.jpg.png');
    const { code, stdout, stderr } = await crop([
      'path,x,y,width,height,class',
      `${frame},10,20,64,48,car`,
      `${frame},30,20,40,40,car`,
      `${frame},30,20,40,20,car`,
      `${at('frames/frame1.jpg')},0,0,500,40,../lorry`,
    ]);
    expect(stderr).toContain('1 box with a side below 32 pixels left out');
    expect(code).toBe(0);
    expect(stdout).toContain('3 crops of 2 classes');
    expect(readFileSync(at('crops/crops.csv'), 'utf8').split('\n')).toEqual([
      'path,class,image,box',
      `car/frame0.jpg-0.png,car,${frame},10 20 64 48`,
      `car/frame0.jpg-1.png,car,${frame},30 20 40 40`,
      `__lorry/frame1-0.png,__lorry,${at('frames/frame1.jpg')},0 0 500 40`,
      '',
    ]);
    expect(readdirSync(at('crops')).sort()).toEqual(['__lorry', 'car', 'crops.csv']);
    expect(existsSync(at('lorry'))).toBe(false);
    const wanted = await sharp(readFileSync(frame))
      .extract({ left: 10, top: 20, width: 64, height: 48 })
      .raw()
      .toBuffer();
    expect(
      await sharp(readFileSync(at('crops/car/frame0.jpg-0.png')))
        .raw()
        .toBuffer(),
    ).toEqual(wanted);
  });

  it('tells of what it cannot cut, and goes on', async () => {
    const rows = ['path,bbox', `${at('nowhere.jpg')},0 0 40 40`, `${at('frames/frame1.jpg')},0 0 40 40`];
    const { code, stdout, stderr } = await crop(rows, '--json');
    expect(stderr).toContain('STOPLINE_ERR_INPUT_NOT_FOUND');
    expect(code).not.toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ images: 1, classes: ['none'], failed: 1 });
    const none = await crop(['path,class', `${at('frames/frame1.jpg')},car`], '--json');
    expect(readError(none)).toMatchObject({ code: 'STOPLINE_ERR_MANIFEST_INVALID' });
  });
});

describe('drift with a Profile for each class', () => {
  it('holds each class against the Profile that has its name, and says which has none', async () => {
    const fitted = await fitOnce(wholeProfile);
    mkdirSync(at('profiles'));
    copyFileSync(fitted.profilePath, at('profiles/one.stopline'));
    const rows = readdirSync(at('frames')).filter((name) => name.endsWith('.jpg'));
    const listed = [...rows.map((name) => `frames/${name},${fitted.profile.name}`), 'frames/frame0.jpg,bike'];
    writeFileSync(at('now.csv'), `path,class\n${listed.join('\n')}\n`);
    const args = ['drift', '--manifest', at('now.csv'), '--source-column', 'class', '--profile', at('profiles')];
    const { code, stdout, stderr } = await runHere([...args, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).sources).toMatchObject([{ source: fitted.profile.name, images: 2 }]);
    expect(stderr).toContain('No Profile for bike: not watched.');
    mkdirSync(at('empty'));
    const empty = await runHere(['drift', at('frames'), '--profile', at('empty'), '--json']);
    expect(readError(empty)).toMatchObject({ code: 'STOPLINE_ERR_PROFILE_UNREADABLE' });
  });
});
