import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Outcome, Stage } from './target.ts';

/** A service that lives and is not ready, over HTTP and over TLS: what the container asks must call it alive. */
export async function run(stage: Stage): Promise<Outcome> {
  const file = readFileSync(join(stage.checkout, 'Dockerfile'), 'utf8');
  const command: string[] = JSON.parse(/HEALTHCHECK[^[]*(\[.*\])/.exec(file)?.[1] ?? '[]');
  // The container runs what was built of the same source.
  const args = command.slice(1).map((arg) => arg.replace(/^dist\/(.*)\.js$/, join(stage.checkout, 'src/$1.ts')));
  const [tlsCert, tlsKey] = ['tls.crt', 'tls.key'].map((name) => join(stage.folder, name));
  const subject = ['-nodes', '-days', '2', '-subj', '/CN=a.example', '-keyout', tlsKey, '-out', tlsCert];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject], { stdio: 'ignore' });
  const answer: RequestListener = (request, response) => {
    response.statusCode = request.url === '/health/live' ? 200 : 503;
    response.end();
  };
  const servers = {
    HTTP: { server: createServer(answer), env: {} },
    TLS: {
      server: createSecureServer({ cert: readFileSync(tlsCert), key: readFileSync(tlsKey) }, answer),
      env: { STOPLINE_TLS_CERT: tlsCert, STOPLINE_TLS_KEY: tlsKey },
    },
  };
  const dead: string[] = [];
  for (const [name, { server, env }] of Object.entries(servers)) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const environment = { ...process.env, STOPLINE_HOST: '0.0.0.0', STOPLINE_PORT: String(port), ...env };
    await promisify(execFile)(process.execPath, args, { env: environment }).catch(() => dead.push(name));
    server.closeAllConnections();
    server.close();
  }
  const isTried = args.length > 0;
  return {
    ok: isTried && dead.length === 0,
    figures: `a service that lives and is not ready is taken for dead over ${dead.join(' and ') || 'neither HTTP nor TLS'}`,
  };
}
