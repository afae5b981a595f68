import { join } from 'node:path';
import { ask, type Outcome, type Stage } from './target.ts';

const evil = 'attacker.example';
const asPages: Record<string, Record<string, string>> = {
  'a page of another site': { origin: `http://${evil}`, 'sec-fetch-site': 'cross-site' },
  'an old browser': { origin: `http://${evil}` },
  'a frame in a sandbox': { origin: 'null' },
  'a name that leads here': { host: evil },
  'a name that leads here, from its own page': {
    host: evil,
    origin: `http://${evil}`,
    'sec-fetch-site': 'same-origin',
  },
};

/** What pages of other sites can ask of a service on the same machine that has no keys. */
export async function run(stage: Stage): Promise<Outcome> {
  const target = await stage.start({ args: ['--quarantine', join(stage.folder, 'kept'), '--max-wait-ms', '60000'] });
  const image = { 'content-type': 'image/jpeg' };
  const requests: Parameters<typeof ask>[1][] = [
    { method: 'POST', path: '/inspect', body: stage.frame, headers: image },
    { method: 'POST', path: '/profile/reload' },
    { method: 'POST', path: '/drift/front/reset' },
    { method: 'PUT', path: `/quarantine/${'0'.repeat(64)}/accepted` },
  ];
  const own = await ask(target.url, requests[0]);
  const served: string[] = [];
  let asked = 0;
  for (const [who, headers] of Object.entries(asPages)) {
    // What only reads is another site's as soon as that site's name leads here.
    const reads: typeof requests = 'host' in headers ? [{ method: 'GET', path: '/quarantine' }] : [];
    for (const request of [...requests, ...reads]) {
      asked += 1;
      const { status } = await ask(target.url, { ...request, headers: { ...request.headers, ...headers } });
      if (status !== 403 && status !== 421) served.push(`${request.method} ${request.path} by ${who}: ${status}`);
    }
  }
  return {
    ok: own.status === 200 && served.length === 0,
    figures: `${served.length} of ${asked} requests of other sites are not refused${served.length > 0 ? ` (${served[0]})` : ''}; a program gets ${own.status}`,
  };
}
