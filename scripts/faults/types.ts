import { type Outcome, post, type Stage } from './target.ts';

const types = [
  '',
  ' ',
  ';',
  '/',
  'image',
  'image/',
  '/jpeg',
  'image/*',
  '*/*',
  'image/jpeg;',
  'image/jpeg; q',
  'image/jpeg;;;;',
  ' image/jpeg',
  'image/jpeg\tx',
  'image/jpeg, application/json',
  'application/json; charset=utf-16',
  'application/json;charset',
  'application/jsonx',
  'application/json\tx',
  'multipart/form-data',
  'multipart/form-data; boundary',
  'multipart/form-data; boundary=',
  'multipart/form-data; boundary=""',
  `multipart/form-data; boundary=${'x'.repeat(5000)}`,
  'multipart/form-data; boundary=a; boundary=b',
  'multipart/mixed; boundary=x',
  'text/html',
  'text/plain; charset=\u00ff',
  'application/x-www-form-urlencoded',
  'application/octet-stream; x="\\"',
  `image/${'j'.repeat(5000)}`,
  '__proto__',
  'constructor',
  'application/__proto__+json',
  'image/svg+xml',
  'IMAGE/JPEG',
  'Image/Jpeg; CHARSET=x',
  'application/json, image/jpeg',
  '"image/jpeg"',
  'image/jpeg\u0001',
];

/** Content types that parsers stumble over: the bytes decide, or a refusal, and never a fault of the service. */
export async function run(stage: Stage): Promise<Outcome> {
  const target = await stage.start();
  const statuses = new Map<number, number>();
  const wrong: string[] = [];
  for (const type of types) {
    const reply = await post(target.url, stage.frame, { 'content-type': type }).catch(() => undefined);
    if (!reply) continue; // not even Node's client would send it
    const { status, error } = reply;
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (![200, 400, 415].includes(status)) wrong.push(`${JSON.stringify(type).slice(0, 40)} gave ${status || error}`);
  }
  target.kill('SIGKILL');
  const counts = [...statuses].map(([status, n]) => `${n} x ${status}`).join(', ');
  return {
    ok: wrong.length === 0,
    figures: `${types.length} content types: ${counts}${wrong.length > 0 ? `; ${wrong.length} wrong, such as ${wrong[0]}` : ''}`,
  };
}
