/** Sends every form through a gate over HTTP and gRPC, in each mode; for the test and for `npm run forms`. */
import { request } from 'undici';
import { loadConfig } from '../../src/config.ts';
import { decode } from '../../src/image/decode.ts';
import { type Service, serve } from '../../src/server/serve.ts';
import { encodeFrame, renderFrame } from '../../test/fixtures/camera.ts';
import {
  type GrpcRecorder,
  RawClient,
  readResponse,
  startGrpcRecorder,
  streamMethod,
} from '../../test/fixtures/grpc.ts';
import { fitReference } from '../../test/fixtures/reference.ts';
import { type Recorder, startRecorder } from '../../test/fixtures/upstream.ts';
import { buildForm, type Form, type FormImages, formRoutes, forms } from './forms.ts';
import { type GrpcForm, grpcFormRoutes, grpcForms } from './grpcforms.ts';

/** How a gate can be set up. */
export const formModes = {
  closed: { mode: 'enforce', onError: 'closed' },
  open: { mode: 'enforce', onError: 'open' },
  observe: { mode: 'observe', onError: 'closed' },
} as const;
export type FormMode = keyof typeof formModes;

/** What one form came to in all modes. */
export interface FormResult {
  /** Good images were judged to pass, or what cannot be judged was told so. */
  isJudged: boolean;
  /** What is blocked, or cannot be judged, was refused in the form of the protocol, and the upstream saw nothing of it. */
  isRefused: boolean;
  /** What may pass reached the upstream byte by byte and was answered. */
  isPassed: boolean;
}

/** How one request ended: refused with a text that the clients of its protocol find, or answered. */
interface Answered {
  isRefused: boolean;
  reason: string;
  verdict: string;
  /** What reached the upstream. */
  received: Buffer[];
}

type Send = (form: Form | GrpcForm, images: FormImages) => Promise<Answered & { sent: Buffer }>;

const size = { width: 320, height: 180 };

async function readImages(encoded: Uint8Array, second: Uint8Array): Promise<FormImages> {
  const { data, width, height } = (await decode(encoded)).frame;
  return { encoded: Buffer.from(encoded), second: Buffer.from(second), pixels: Buffer.from(data), width, height };
}

/**
 * Runs forms in one mode.
 * @returns what was right of each, by name
 */
export async function runForms(
  modes: readonly FormMode[],
  tell: (line: string) => void = () => undefined,
): Promise<Map<string, FormResult>> {
  const reference = await fitReference();
  const draw = (seed: number, quality?: number) => encodeFrame(renderFrame(seed, size), quality ? { quality } : {});
  const good = await readImages(reference.frame, await draw(1001));
  const strange = await readImages(await draw(1000, 3), await draw(1001, 3));
  const [upstream, calls] = await Promise.all([startRecorder(), startGrpcRecorder()]);
  const results = new Map<string, FormResult>();
  for (const mode of modes) {
    const usual = { profile: reference.profilePath, port: 0, grpcPort: 0, threads: 1, logLevel: 'silent' };
    const flags = {
      ...usual,
      ...formModes[mode],
      ...{ verdictTimeoutMs: 60_000, maxWaitMs: 60_000, upstream: upstream.url, grpcUpstream: calls.url },
      routes: [...formRoutes, ...grpcFormRoutes],
    };
    const service = await serve(loadConfig({ env: {}, flags: flags as never }).config);
    const client = new RawClient(service.grpcUrl as string);
    const send: Send = (form, images) =>
      'message' in form ? sendCall(client, calls, form, images) : sendRequest(service, upstream, form, images);
    for (const form of [...forms, ...grpcForms]) {
      const right = results.get(form.name) ?? { isJudged: true, isRefused: true, isPassed: true };
      results.set(form.name, right);
      const wrong = await challengeForm(form, mode, { good, strange, send, right });
      for (const what of wrong) tell(`${form.name}, ${mode}: ${what}`);
    }
    client.close();
    await service.close();
  }
  await upstream.close();
  calls.close();
  await reference.remove();
  return results;
}

/** Sends a form with good and with strange images. @returns what was not so */
async function challengeForm(
  form: Form | GrpcForm,
  mode: FormMode,
  { good, strange, send, right }: { good: FormImages; strange: FormImages; send: Send; right: FormResult },
): Promise<string[]> {
  const wrong: string[] = [];
  const expect = (kind: keyof FormResult, isSo: boolean, what: string) => {
    if (isSo) return;
    right[kind] = false;
    wrong.push(what);
  };
  const isKnown = form.images > 0;
  for (const [images, isBlocked] of [
    [good, false],
    [strange, true],
  ] as const) {
    const answer = await send(form, images);
    const { isRefused, reason, verdict, received, sent } = answer;
    const about = `${isBlocked ? 'strange' : 'good'}: ${isRefused ? 'refused' : 'passed'}, ${verdict}, ${reason}`;
    const mayPass = mode === 'observe' || (isKnown ? !isBlocked : mode === 'open');
    if (mayPass) {
      const isSame = received.length === 1 && received[0].equals(sent);
      expect('isPassed', !isRefused && isSame, `${about}, ${received.length} at the upstream`);
      const expected = isKnown ? /^pass$/ : /^bypass; reason=(UNINSPECTED|REQUEST_TYPE)$/;
      expect('isJudged', mode === 'observe' ? verdict === 'pending' : expected.test(verdict), about);
    } else {
      const expected = isKnown ? /^STOPLINE_ERR_IMAGE_REFUSED/ : /^STOPLINE_ERR_(UNINSPECTED|REQUEST_TYPE)/;
      expect('isRefused', isRefused && received.length === 0 && expected.test(reason), about);
    }
    // One request of what cannot be judged tells as much as two.
    if (!isKnown) break;
  }
  return wrong;
}

async function sendRequest(service: Service, upstream: Recorder, form: Form, images: FormImages) {
  upstream.received.length = 0;
  const { headers, body: sent } = buildForm(form, images);
  const response = await request(service.url + form.path, { method: 'POST', body: sent, headers });
  const text = await response.body.text();
  const verdict = String(response.headers['x-stopline-verdict']);
  const isRefused = response.statusCode >= 400;
  return {
    isRefused,
    reason: isRefused ? readReason(form.path, text, String(response.headers['content-type'])) : '',
    verdict,
    received: upstream.received.map(({ body }) => body),
    sent,
  };
}

/** The reason of a refusal where the clients of a path look for it; empty where it is not there. */
function readReason(path: string, text: string, type: string): string {
  const { error, code, type: name, message } = JSON.parse(text);
  // tritonclient and KServe's client take a text, and only where no charset stands behind the type.
  if (/^\/v2|^\/v1\/models/.test(path)) return typeof error === 'string' && type === 'application/json' ? error : '';
  if (/^\/predictions/.test(path)) return Number.isInteger(code) ? `${name}: ${message}` : '';
  return error?.code === undefined ? '' : `${error.code}: ${error.message}`;
}

async function sendCall(client: RawClient, upstream: GrpcRecorder, form: GrpcForm, images: FormImages) {
  upstream.received.length = 0;
  const sent = form.message(images);
  const answer = await client.call(form.path, [sent], { isGzip: form.isGzip ?? false });
  const [verdict] = [...answer.headers.get('x-stopline-verdict'), ...answer.trailers.get('x-stopline-verdict')];
  const told = readStreamError(form, answer.messages);
  return {
    isRefused: told !== '' || answer.code !== 0,
    reason: told || (answer.code === 0 ? '' : answer.details),
    verdict: String(verdict),
    received: upstream.received.flatMap(({ messages }) => messages),
    sent,
  };
}

function readStreamError(form: GrpcForm, [message]: readonly Buffer[]): string {
  if (form.path !== streamMethod || !message) return '';
  return readResponse<{ error_message: string }>('ModelStreamInfer', message).error_message;
}
