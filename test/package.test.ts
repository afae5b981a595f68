import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

// That the packed package works is what `npm run check:package` proves; this is what can be said without packing.
const root = fileURLToPath(new URL('..', import.meta.url));
const readJson = (path: string) => JSON.parse(readFileSync(root + path, 'utf8'));
const description = readJson('package.json');
const lock = readJson('package-lock.json');

describe('package.json', () => {
  it('runs nothing when it is installed', () => {
    // npm runs `prepare` in a checkout alone: it brings the Node that the scripts run on.
    const automatic = ['preinstall', 'install', 'postinstall', 'preprepare', 'postprepare'];
    expect(Object.keys(description.scripts).filter((name) => automatic.includes(name))).toEqual([]);
    expect(existsSync(`${root}binding.gyp`)).toBe(false);
  });

  it('publishes the native cores, and no source of them that nothing in it could build', () => {
    expect(description.files).toEqual(expect.arrayContaining(['dist', 'prebuilds']));
    expect(description.files.join()).not.toContain('src/');
  });

  it('names one Node for everybody who looks for it', () => {
    const wanted = readFileSync(`${root}.node-version`, 'utf8').trim();
    const pinned = JSON.parse(readFileSync(`${root}scripts/node.json`, 'utf8'));
    expect(pinned.version.split('.')[0]).toBe(wanted);
    expect(Object.keys(pinned.integrity)).toEqual(['linux-x64', 'linux-arm64']);
    expect(readFileSync(`${root}Dockerfile`, 'utf8')).toContain(`FROM node:${wanted}-`);
  });

  it('has a source behind everything that it exports', () => {
    const entries = Object.values<string | { default: string; types: string }>(description.exports);
    const compiled = entries.flatMap((entry) => (typeof entry === 'string' ? [] : [entry.default, entry.types]));
    expect(compiled.length).toBeGreaterThan(3);
    for (const path of compiled) {
      const source = path.replace(/^(\.\/)?dist/, 'src').replace(/\.(js|d\.ts)$/, '.ts');
      expect(existsSync(root + source), source).toBe(true);
    }
    // Copied as it is, so that a Node that is too old can read it in a checkout, too.
    const start = description.bin.stopline.replace(/^dist/, 'src');
    expect(readFileSync(root + start, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});

describe('package-lock.json', () => {
  it('fits package.json', () => {
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']) {
      expect(lock.packages[''][kind], kind).toEqual(description[kind]);
    }
  });

  it('lets no package run a script', () => {
    const scripted = Object.entries<Record<string, unknown>>(lock.packages)
      .filter(([, entry]) => entry.hasInstallScript)
      .map(([path]) => path.split('node_modules/').at(-1) as string);
    // fsevents is only for macOS and only watches files for vitest.
    for (const name of scripted.filter((name) => name !== 'fsevents'))
      expect(description.allowScripts, name).toHaveProperty(name, false);
  });

  it('sets nothing that npm does not know, which it would warn of at every run', () => {
    const set = readFileSync(`${root}.npmrc`, 'utf8').trim().split('\n');
    const names = set.map((line) => line.split('=')[0]);
    expect(names).toEqual(['omit-lockfile-registry-resolved', 'replace-registry-host', 'fund', 'audit', 'loglevel']);
  });

  it('says where every package lies, and no registry: npm asks about those whose address it does not know', () => {
    for (const path of ['package-lock.json', 'site/package-lock.json']) {
      const { packages } = JSON.parse(readFileSync(root + path, 'utf8'));
      const away = Object.entries<{ version: string; resolved?: string; inBundle?: boolean }>(packages)
        .filter(([place, { inBundle }]) => place !== '' && !inBundle)
        .filter(([place, { version, resolved }]) => {
          const name = packages[place].name ?? place.split('node_modules/').at(-1);
          return resolved !== `https://registry.invalid/${name}/-/${name.split('/').at(-1)}-${version}.tgz`;
        });
      expect(away, `${path}: npm run lock writes them`).toEqual([]);
    }
  });

  it('needs no model runtime: ONNX is optional, TensorFlow is what the user brings', () => {
    expect(Object.keys(description.optionalDependencies)).toEqual(['onnxruntime-node']);
    expect(Object.keys(description.dependencies).filter((name) => /tensorflow|onnx/.test(name))).toEqual([]);
    expect(Object.keys(description.peerDependenciesMeta)).toEqual(Object.keys(description.peerDependencies));
  });

  // npm leaves out what a registry does not serve, and then npm ci fails, also where the package is not needed.
  it('has every package that another one may want, for every platform', () => {
    const known = new Set(Object.keys(lock.packages).map((path) => path.split('node_modules/').at(-1)));
    const missing: string[] = [];
    for (const [path, entry] of Object.entries<Record<string, Record<string, string>>>(lock.packages)) {
      for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
        if (!known.has(name)) missing.push(`${path} wants ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });
});

describe('the container image', () => {
  const dockerfile = readFileSync(`${root}Dockerfile`, 'utf8');

  it('copies only what the build context lets through', () => {
    const allowed = readFileSync(`${root}.dockerignore`, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, sources]) => sources.split(' '));
    expect(copied.length).toBeGreaterThan(3);
    for (const source of copied) {
      expect(readdirSync(root)).toContain(source);
      expect(allowed).toContain(source);
    }
  });

  it('runs as another user than root, and is asked whether it is ready', () => {
    expect(dockerfile).toMatch(/^USER node$/m);
    expect(dockerfile).toMatch(/^HEALTHCHECK (.|\n)*dist\/server\/healthcheck\.entry\.js/m);
  });
});
