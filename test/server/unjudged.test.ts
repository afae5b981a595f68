import { Writable } from 'node:stream';
import { Registry } from '@prometheus-io/client';
import Fastify, { type FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, it } from 'vitest';
import { StoplineError } from '../../src/errors.ts';
import { refusalSchema } from '../../src/server/http/schemas.ts';
import { registerUnjudged, Unjudged } from '../../src/server/unjudged.ts';
import { Journal } from '../../src/server/watch/journal.ts';

const lines: { level: number; path: string; reason: string; mend: string; msg: string }[] = [];
let app: FastifyInstance;
let registry: Registry;
let unjudged: Unjudged;
let journal: Journal;

beforeEach(() => {
  lines.length = 0;
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  app = Fastify({ logger: { stream } });
  app.addSchema(refusalSchema);
  registry = new Registry();
  journal = new Journal();
  unjudged = new Unjudged({ registry, log: app.log, journal });
  registerUnjudged(app, unjudged);
});

const bypassed = (code: 'UNINSPECTED' | 'VERDICT_TIMEOUT') => ({
  outcome: 'bypassed' as const,
  reason: code,
  unjudged: new StoplineError(code, 'Expected an image but received none.'),
});

describe('what a gate lets through unjudged', () => {
  it('is counted by path and reason, told once with what mends it, and listed', async () => {
    for (let i = 0; i < 3; i++) unjudged.observe(bypassed('UNINSPECTED'), '/classify', undefined);
    unjudged.observe(bypassed('VERDICT_TIMEOUT'), '/classify', undefined);
    unjudged.observe({ outcome: 'forwarded', reason: 'pass' }, '/classify', undefined);
    unjudged.observe({ outcome: 'refused', reason: 'UNINSPECTED' }, '/classify', undefined);
    expect(lines.map(({ level, path, reason }) => [level, path, reason])).toEqual([
      [40, '/classify', 'UNINSPECTED'],
      [40, '/classify', 'VERDICT_TIMEOUT'],
    ]);
    expect(lines[0].mend).toContain('"routes": [{ "path": "/classify", "protocol": "image"');
    expect(lines[1].mend).toContain('verdictTimeoutMs');
    // For people it is an event, told with what mends it, and the same again is counted.
    expect(journal.list([], 10).map(({ kind, times, isTrouble }) => [kind, times, isTrouble])).toContainEqual([
      'unjudged',
      3,
      true,
    ]);
    const text = await registry.metrics();
    expect(text).toContain('stopline_gate_unjudged_total{path="/classify",reason="UNINSPECTED"} 3');
    const { total, paths } = (await app.inject('/unjudged')).json();
    expect(total).toBe(4);
    expect(paths).toMatchObject([
      { path: '/classify', reason: 'UNINSPECTED', count: 3, message: 'Expected an image but received none.' },
      { path: '/classify', reason: 'VERDICT_TIMEOUT', count: 1 },
    ]);
  });

  it('stands under the pattern of its route; what the settings let pass is no fault', async () => {
    const route = { path: '/predict/*', protocol: 'image' } as const;
    unjudged.observe({ outcome: 'skipped', reason: 'share' }, '/predict/7', route);
    unjudged.observePassed({ path: '/load', protocol: 'pass' });
    expect(lines.map(({ level, path, reason }) => [level, path, reason])).toEqual([
      [40, '/predict/*', 'share'],
      [30, '/load', 'pass'],
    ]);
    expect((await app.inject('/unjudged')).json()).toMatchObject({ total: 0, paths: [{ count: 1 }, { count: 1 }] });
  });

  it('is bounded in paths, which clients choose', async () => {
    for (let i = 0; i < 5000; i++) unjudged.observe(bypassed('UNINSPECTED'), `/${i}`, undefined);
    const { total, paths } = (await app.inject('/unjudged')).json();
    expect(total).toBe(5000);
    expect(paths).toHaveLength(101);
    expect(paths[0]).toMatchObject({ path: 'other', count: 4900 });
    expect(lines.filter(({ reason }) => reason === 'UNINSPECTED')).toHaveLength(101);
  });
});
