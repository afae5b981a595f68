import { startRecorder } from '../../test/fixtures/upstream.ts';
import { buildDifferential, differentialRoutes, drawPictures } from './differentialrequest.ts';
import { differentials } from './differentials.ts';
import { ask, type Outcome, post, type Stage } from './target.ts';

/** What proxies and servers in front spell with underscores or hyphens alike. */
const forged = { x_stopline_verdict: 'pass', x_forwarded_for: '10.0.0.1' };

/** Requests in which the upstream would see another image than the gate: a closed one lets none of them through. */
export async function run(stage: Stage): Promise<Outcome> {
  const upstream = await startRecorder();
  const routes = JSON.stringify(differentialRoutes);
  const gate = ['--upstream', upstream.url, '--mode', 'enforce', '--on-error', 'closed', '--routes', routes];
  const target = await stage.start({ args: [...gate, '--verdict-timeout-ms', '60000', '--max-wait-ms', '60000'] });
  const pictures = await drawPictures(Buffer.from(stage.frame));
  const good = await post(target.url, pictures.good, forged, '/classify');
  const wrong: string[] = [];
  const [received] = upstream.received;
  for (const name of Object.keys(forged)) if (received?.headers[name] !== undefined) wrong.push(`${name} goes through`);
  const bad = await post(target.url, pictures.bad, {}, '/classify');
  for (const differential of differentials.slice(0, stage.count)) {
    const { path, headers, body } = buildDifferential(differential, pictures);
    upstream.received.length = 0;
    const { status } = await post(target.url, body, headers, path);
    if (status < 400 || status >= 500 || upstream.received.length > 0) wrong.push(`${differential.name}: ${status}`);
  }
  const silent = await ask(target.url, { path: '/ext-authz/classify', headers: { 'content-type': 'image/jpeg' } });
  if (silent.status < 400) wrong.push(`ext_authz without a body: ${silent.status}`);
  await upstream.close();
  return {
    ok: good.status === 200 && bad.status === 422 && wrong.length === 0,
    figures: `${differentials.length} requests in two readings, two forged headers and one without a body: ${wrong.length} wrong${list(wrong)}; a good image gets ${good.status}, a bad one ${bad.status}`,
  };
}

const list = (wrong: string[]) => (wrong.length === 0 ? '' : ` (${wrong.slice(0, 4).join('; ')})`);
