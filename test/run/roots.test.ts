import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Roots } from '../../src/run/roots.ts';
import { temporaryFolder } from '../fixtures/folder.ts';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
for (const name of ['root', 'root/inner', 'root-too']) mkdirSync(at(name));
for (const name of ['root/a.jpg', 'root-too/b.jpg', 'secret.jpg']) writeFileSync(at(name), name);
symlinkSync(at('secret.jpg'), at('root/link.jpg'));
symlinkSync(folder, at('root/up'));
symlinkSync(at('root/a.jpg'), at('root/inner/same.jpg'));

const code = (name: string) => expect.objectContaining({ code: `STOPLINE_ERR_${name}` });

describe('Roots', () => {
  it('take what lies below them, links followed', () => {
    const roots = new Roots([at('root'), 's3://bucket/images']);
    expect(roots.locate('a.jpg')).toBe(at('root/a.jpg'));
    expect(roots.locate(at('root/a.jpg'))).toBe(at('root/a.jpg'));
    expect(roots.locate('inner/same.jpg')).toBe(at('root/a.jpg'));
    expect(roots.locate('inner/../a.jpg')).toBe(at('root/a.jpg'));
    expect(roots.locate('s3://bucket/images/a.jpg')).toBe('s3://bucket/images/a.jpg');
    expect(new Roots(['s3://']).locate('s3://any/key')).toBe('s3://any/key');
    expect(new Roots(['s3://bucket/images']).locate('a.jpg')).toBe('s3://bucket/images/a.jpg');
  });

  it.each([
    '../secret.jpg',
    'link.jpg',
    'up/secret.jpg',
    'up/root-too/b.jpg',
    '../root-too/b.jpg',
    '/etc/passwd',
    '/nowhere/at/all',
    '../nowhere',
    'up/nowhere',
    's3://bucket/images-too/a.jpg',
    's3://other/images/a.jpg',
  ])('do not take %s', (path) => {
    expect(() => new Roots([at('root'), 's3://bucket/images']).locate(path)).toThrow(code('REQUEST_INVALID'));
  });

  it('tell what is missing from what is not theirs', () => {
    expect(() => new Roots([at('root')]).locate('gone/a.jpg')).toThrow(code('INPUT_NOT_FOUND'));
    expect(() => new Roots([at('root')]).locate('a\0.jpg')).toThrow(code('INPUT_UNREADABLE'));
    expect(() => new Roots(['s3://bucket']).locate('/etc/passwd')).toThrow(code('REQUEST_INVALID'));
  });
});
