import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer as readBytes } from 'node:stream/consumers';
import sharp from 'sharp';
import { pack } from 'tar-stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { createProfile } from '../../src/profile/description.ts';
import { saveProfile } from '../../src/profile/file.ts';
import { readError, renderFolder, runHere, stopline, temporaryFolder } from '../fixtures/cli.ts';
import { fitOnce, plainProfile } from '../fixtures/fitted.ts';

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

  it('cuts what a detector found, in the form of COCO', async () => {
    const images = [{ id: 4, file_name: 'frames/frame1.jpg' }];
    const found = { image_id: 4, category_id: 1, bbox: [0, 0, 40, 40], score: 0.9 };
    const coco = { images, annotations: [found], categories: [{ id: 1, name: 'car' }] };
    writeFileSync(at('coco.json'), JSON.stringify(coco));
    const { code } = await runHere(['crop', '--manifest', at('coco.json'), '--out', at('found')]);
    expect(code).toBe(0);
    expect(readdirSync(at('found/car'))).toEqual(['frame1-0.png']);
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

describe('crop of a manifest that somebody else wrote', () => {
  const frame = () => at('frames/frame1.jpg');
  const box = '0,0,40,40';

  it('writes below its folder, whatever classes and images are called', async () => {
    const classes = ['..', '../..', '/etc', 'a\0b', 'crops.csv', 'x'.repeat(5000), '\u4e2d'.repeat(300), 'con:'];
    const rows = classes.map((kind) => JSON.stringify({ path: frame(), bbox: [0, 0, 40, 40], class: kind }));
    writeFileSync(at('odd.jsonl'), `${rows.join('\n')}\n`);
    const { code, stdout } = await runHere(['crop', '--manifest', at('odd.jsonl'), '--out', at('odd'), '--json']);
    expect(code, stdout).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ images: classes.length, failed: 0 });
    // One folder each, and the manifest.
    expect(readdirSync(at('odd'))).toHaveLength(classes.length + 1);
    expect(existsSync(at('crops/etc'))).toBe(false);
  });

  it('refuses classes that would become one', async () => {
    const run = await crop(['path,x,y,width,height,class', `${frame()},${box},a b`, `${frame()},${box},a/b`], '--json');
    expect(readError(run)).toMatchObject({ code: 'STOPLINE_ERR_MANIFEST_INVALID' });
    expect(run.stdout).toContain('a/b');
  });

  it.each(['NaN,0,9,9', '0,0,1e999,9', '0,0,-5,9', '0x10,0,40,', 'Infinity,0,9,9'])(
    'refuses the box %s',
    async (odd) => {
      const run = await crop(['path,x,y,width,height,class', `${frame()},${odd},car`], '--json');
      expect(readError(run)).toMatchObject({ code: 'STOPLINE_ERR_MANIFEST_INVALID' });
    },
  );

  it('cuts off what a huge box has beyond the image', async () => {
    const run = await crop(['path,x,y,width,height,class', `${frame()},-1e12,-1e12,1e300,1e300,car`], '--json');
    expect(JSON.parse(run.stdout)).toMatchObject({ images: 1 });
  });
});

describe('drift with a Profile for each class', () => {
  it('holds each class against the Profile that has its name, and says which has none', async () => {
    const fitted = await fitOnce(plainProfile);
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
  });

  it('goes through the images once, whatever the number of Profiles', async () => {
    const { profile } = await fitOnce(plainProfile);
    mkdirSync(at('both'));
    for (const name of ['one', 'two']) {
      const { sha256: _, tensors, ...description } = profile;
      await saveProfile(createProfile({ ...description, name }, tensors), at(`both/${name}.stopline`));
    }
    const archive = pack();
    for (const [index, source] of ['one', 'two', 'one'].entries())
      archive.entry({ name: `${source}/${index}.jpg` }, readFileSync(at(`frames/frame${index % 2}.jpg`)));
    archive.entry({ name: 'one/cut.jpg', size: 4 }, 'jpeg');
    archive.finalize();
    writeFileSync(at('both.tar'), await readBytes(archive));
    const args = ['--profile', at('both'), '--source-pattern', '(one|two)/', '--json'];
    // Of standard input there is nothing left for a second pass.
    const whole = await stopline(['drift', '--manifest', '-', ...args], {
      onSpawn: (child) => child.stdin?.end(`${at('both.tar')}\n`),
    });
    expect(whole.code, whole.stdout).toBe(0);
    expect(JSON.parse(whole.stdout).sources).toMatchObject([
      { source: 'one', images: 2, failed: 1 },
      { source: 'two', images: 1, failed: 0 },
    ]);
    const alone = await runHere(['drift', at('both.tar'), ...args, '--profile', at('both/two.stopline')]);
    const [, two] = JSON.parse(whole.stdout).sources;
    expect(JSON.parse(alone.stdout).sources).toContainEqual(two);
  });

  it('refuses two Profiles of one name, and a folder without any', async () => {
    mkdirSync(at('twice'));
    for (const name of ['a', 'b']) copyFileSync(at('profiles/one.stopline'), at(`twice/${name}.stopline`));
    const twice = await runHere(['drift', at('frames'), '--profile', at('twice'), '--json']);
    expect(readError(twice)).toMatchObject({ code: 'STOPLINE_ERR_OPTION_INVALID' });
    mkdirSync(at('empty'));
    const empty = await runHere(['drift', at('frames'), '--profile', at('empty'), '--json']);
    expect(readError(empty)).toMatchObject({ code: 'STOPLINE_ERR_PROFILE_UNREADABLE' });
  });
});
