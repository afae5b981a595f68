import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { FrameModules } from '../../../src/server/routes/framemodules.ts';

const modules = new FrameModules();

it('gives a page every module of the judge, none of Node, and none by a name that no page finds', () => {
  const seen = new Set<string>();
  const waiting = ['frame.js'];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const file = modules.find(path);
    expect(file?.type, path).toMatch(/^text\/javascript/);
    const text = String(file?.body);
    expect(text, path).not.toMatch(/^(import|export) (type|interface)\b/m);
    const targets = [...text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)';/gms)].map(([, target]) => target);
    for (const target of targets) {
      expect(target, path).toMatch(/^\.\.?\//);
      waiting.push(posix.join(posix.dirname(path), target));
    }
  }
  expect(seen.size).toBeGreaterThan(40);
  expect(seen).toContain('simple-statistics.js');
});

it('has the core, and nothing beside', () => {
  expect(modules.find('core/stopline.wasm')).toMatchObject({ type: 'application/wasm' });
  for (const path of ['../package.json', 'server/app.ts', 'server/app.js', 'errors', '__proto__', ''])
    expect(modules.find(path)).toBeUndefined();
});
