import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { encodeFrame, renderFrame } from '../fixtures/camera.ts';
import { fitReference } from '../fixtures/reference.ts';
import { startService } from '../fixtures/service.ts';

/** The Python of the system, which its packages are for. */
const python = '/usr/bin/python3';
const hasStarlette = spawnSync(python, ['-c', 'import starlette']).status === 0;
if (!hasStarlette) console.log('skipped: python3-starlette is not there');

const page = readFileSync(join(import.meta.dirname, '../../docs/gate.md'), 'utf8');
const [, middleware = ''] = /```python\n(import asyncio.*?)```/s.exec(page) ?? [];

/** Asks a real Starlette application in the terms of ASGI, so that nothing but Starlette is needed. */
const program = `
import sys
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from stopline_asgi import Stopline

async def classify(request):
    body = await request.body()
    verdict = request.state.stopline
    return JSONResponse({"bytes": len(body), "verdict": verdict and verdict["verdict"]})

url, *files = sys.argv[1:]
good, strange = (open(file, "rb").read() for file in files)
routes = [Route("/classify", classify, methods=["POST"])]

def build(**options):
    app = Starlette(routes=routes)
    app.add_middleware(Stopline, paths=["/classify"], **options)
    return app

async def ask(app, body, type=b"image/jpeg"):
    half = len(body) // 2
    pieces = [{"type": "http.request", "body": body[:half], "more_body": True}, {"type": "http.request", "body": body[half:]}]
    sent = []
    async def receive():
        return pieces.pop(0)
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/classify",
             "raw_path": b"/classify", "query_string": b"", "root_path": "", "scheme": "http", "headers": [(b"content-type", type)],
             "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1)}
    await app(scope, receive, send)
    text = json.loads(b"".join(message.get("body", b"") for message in sent))
    return [sent[0]["status"], text.get("error", {}).get("code") or text]

async def main():
    closed, watching = build(url=url, timeout=60), build(url=url, timeout=60, enforce=False)
    dead = "http://127.0.0.1:9/inspect"
    print(json.dumps([
        await ask(closed, good), await ask(closed, strange), await ask(watching, strange), await ask(closed, good[:300]),
        await ask(closed, good, b"text/csv"), await ask(build(url=dead), good), await ask(build(url=dead, closed=False), good),
        await ask(build(url=url, limit=100), good),
    ]))

import asyncio, json
asyncio.run(main())
`;

it('the middleware for Python has at most 60 lines', () => {
  expect(middleware.trimEnd().split('\n').length).toBeLessThanOrEqual(60);
  expect(middleware).toContain('class Stopline');
});

it.skipIf(!hasStarlette)('a Starlette application asks the service about its images', async () => {
  const reference = await fitReference();
  const folder = mkdtempSync(join(tmpdir(), 'stopline-asgi-'));
  const service = await startService({ profile: reference.profilePath });
  try {
    const strange = await encodeFrame(renderFrame(1000, { width: 320, height: 180 }), { quality: 3 });
    for (const [name, content] of Object.entries({
      'stopline_asgi.py': middleware,
      'main.py': program,
      'good.jpg': reference.frame,
      'strange.jpg': strange,
    })) {
      writeFileSync(join(folder, name), content);
    }
    const args = ['main.py', `${service.url}/inspect`, 'good.jpg', 'strange.jpg'];
    const { stdout } = await promisify(execFile)(python, args, { cwd: folder });
    const bytes = reference.frame.length;
    expect(JSON.parse(stdout)).toEqual([
      [200, { bytes, verdict: 'pass' }],
      [422, 'STOPLINE_ERR_IMAGE_REFUSED'],
      [200, { bytes: strange.length, verdict: 'block' }],
      [422, 'STOPLINE_ERR_IMAGE_TRUNCATED'],
      [415, 'STOPLINE_ERR_REQUEST_TYPE'],
      [503, 'STOPLINE_UNREACHABLE'],
      [200, { bytes, verdict: null }],
      [413, 'REQUEST_TOO_LARGE'],
    ]);
  } finally {
    await service.close();
    await reference.remove();
    rmSync(folder, { recursive: true });
  }
});
