import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { checkVersions, findUnsafe, installedVersions } from '../../src/server/versions.ts';

describe('findUnsafe', () => {
  it.each([
    // The first safe version of the own line counts, not the highest.
    ['node', '22.22.9', true],
    ['node', '22.23.0', false],
    ['node', '24.16.9', true],
    ['node', '24.17.0', false],
    ['node', '26.3.0', true],
    ['node', '28.0.0', false],
    // Lines that get no fixes are as old as the next one.
    ['node', '20.20.2', true],
    ['node', '23.99.0', true],
    ['sharp', '0.35.3', true],
    ['sharp', '0.35.4', false],
    ['sharp', '0.36.0-rc.1', false],
    ['fastify', '5.8.4', true],
    ['fastify', '5.12.8', false],
    ['undici', '5.29.0', true],
    ['undici', '7.24.0', false],
    ['sqlite', '3.51.2', true],
  ])('%s %s: %s', (name, version, isUnsafe) => {
    expect(findUnsafe({ [name]: version }).map((entry) => entry.name)).toEqual(isUnsafe ? [name] : []);
  });
});

describe('checkVersions', () => {
  it('finds what is installed, and all of it safe', () => {
    expect(Object.keys(installedVersions())).toEqual(
      expect.arrayContaining(['node', 'sharp', 'libvips', 'libwebp', 'fastify', '@fastify/static', 'sqlite']),
    );
    expect(checkVersions().filter(({ isRefused }) => isRefused)).toEqual([]);
  });

  it('refuses a package with a hole and only warns of Node', () => {
    expect(checkVersions({ node: '24.1.0' })).toMatchObject([{ name: 'node', version: '24.1.0' }]);
    expect(() => checkVersions({ sharp: '0.35.1' })).toThrow(
      expect.objectContaining({
        code: 'STOPLINE_ERR_RUNTIME_UNSAFE',
        exit: 78,
        message: expect.stringMatching(/^Expected sharp 0.35.4 or later .* but 0.35.1 runs here.*npm ci$/),
      }),
    );
  });
});

describe('checkLoaders', () => {
  const source = (name: string) => JSON.stringify(fileURLToPath(new URL(`../../src/image/${name}`, import.meta.url)));
  /** A process that may let a loader in before it asks whether all are blocked. */
  const ask = (unblocked: string[]) =>
    execFileSync(
      process.execPath,
      [
        '-e',
        `await import(${source('decode.ts')});
         const { checkLoaders } = await import(${source('loaders.ts')});
         const { default: sharp } = await import('sharp');
         sharp.unblock({ operation: ${JSON.stringify(unblocked)} });
         console.log(await checkLoaders().then(() => 'blocked', (error) => error.code + ' ' + error.message));`,
        '--input-type=module',
      ],
      { encoding: 'utf8', cwd: fileURLToPath(new URL('..', import.meta.url)) },
    ).trim();

  it('passes as decode.ts sets the allow-list, and finds each loader that was let in', () => {
    expect(ask([])).toBe('blocked');
    for (const [loader, format] of [
      ['VipsForeignLoadSvgBuffer', 'SVG'],
      ['VipsForeignLoadNsgifBuffer', 'GIF'],
      ['VipsForeignLoadTiffBuffer', 'TIFF'],
    ]) {
      expect(ask([loader])).toBe(`STOPLINE_ERR_RUNTIME_UNSAFE Expected libvips to refuse ${format} but it reads it.`);
    }
  });
});
