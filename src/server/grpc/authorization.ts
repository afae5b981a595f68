import { once } from 'node:events';
import { asStoplineError, StoplineError } from '../../errors.ts';
import { passageHeaders } from '../../gate/admission.ts';
import { unpackFrame, writeFrame } from '../../gate/bodies/grpcframes.ts';
import { findInQuery } from '../../gate/protocols/beside.ts';
import {
  type AskedRequest,
  readCheckRequest,
  writeAllowed,
  writeDenied,
} from '../../gate/protocols/grpc/authorization.ts';
import { findInGrpcBody } from '../../gate/protocols/grpc/grpc.ts';
import { guessProtocol, protocols } from '../../gate/protocols/protocols.ts';
import { plainPath } from '../../gate/routes.ts';
import type { Route } from '../../settings.ts';
import { findUnclearHeader, isPartial, isWithoutBody } from '../http/headers.ts';
import { hideInternals } from '../http/refusal.ts';
import { checkSource } from '../judge.ts';
import { besideWithinMs, waitForAnswer } from '../requestgate.ts';
import { Answer } from './answer.ts';
import type { Call, CallOutcome, CallParts } from './call.ts';
import type { TakenFrame } from './framereader.ts';
import { grpcCodes } from './status.ts';

/** The method by which Envoy asks whether a request may pass. */
export const checkMethod = '/envoy.service.auth.v3.Authorization/Check';

/** Answers whether a request may pass, by the same rules as the proxy. @throws {StoplineError} for what is no question */
export async function answerCheck(parts: CallParts, call: Call, taken: TakenFrame | undefined): Promise<CallOutcome> {
  const { stream, requestId, headers } = call;
  if (!taken) throw new StoplineError('REQUEST_INVALID', 'Expected a CheckRequest but received none.');
  try {
    if (taken.error) throw taken.error;
    const encoding = headers['grpc-encoding'] as string | undefined;
    const asked = readCheckRequest(await unpackFrame(taken.frame, encoding, parts.config.bodyLimit));
    const { message, outcome, judged } = await decide(parts, call, asked);
    void judged?.then(taken.held.release);
    if (!judged) taken.held.release();
    const answer = new Answer(stream);
    answer.begin({ ':status': 200, 'content-type': 'application/grpc', 'x-request-id': requestId });
    answer.insert(writeFrame(message));
    answer.end({ 'grpc-status': String(grpcCodes.OK) });
    if (!stream.closed) await once(stream, 'close').catch(() => undefined);
    return { ...outcome, status: answer.status };
  } catch (error) {
    taken.held.release();
    throw error;
  }
}

interface Decided {
  message: Buffer;
  outcome: CallOutcome;
  judged?: Promise<unknown>;
}

async function decide(parts: CallParts, call: Call, asked: AskedRequest): Promise<Decided> {
  const { gate, unjudged } = parts;
  let route: Route | undefined;
  let path = asked.url;
  try {
    path = plainPath(asked.url);
    const isGrpc = /^application\/grpc/.test(asked.headers['content-type'] ?? '');
    route = isGrpc ? gate.matchCall(path) : gate.match(path);
    if (asked.body.length === 0 && (await gate.isBare(asked))) return { message: writeAllowed({}), outcome: {} };
    if (route?.protocol === 'pass') {
      unjudged.observePassed(route);
      return { message: writeAllowed({}), outcome: {} };
    }
    return await judge(parts, call, { asked, path, route, isGrpc });
  } catch (error) {
    return {
      message: deny(asStoplineError(error), { requestId: call.requestId, path, route }),
      outcome: { error: asStoplineError(error) },
    };
  }
}

async function judge(
  { gate, config }: CallParts,
  { stream, requestId }: Call,
  options: { asked: AskedRequest; path: string; route: Route | undefined; isGrpc: boolean },
): Promise<Decided> {
  const { asked, path, route, isGrpc } = options;
  const { headers, body, url, rawHeaders } = asked;
  const gone = new AbortController();
  const leave = () => {
    if (!stream.writableFinished) gone.abort(new StoplineError('CLOSED', 'The client ended the call.'));
  };
  stream.once('close', leave);
  const source = checkSource(headers[config.sourceHeader] ?? route?.source);
  const passage = await gate.decide({
    path,
    route,
    source,
    requestId,
    signal: gone.signal,
    find: async () => {
      checkWhole(asked);
      const unclear = findUnclearHeader(rawHeaders);
      if (unclear !== undefined) {
        const twice = `Expected each header about the body once and in its plain form but received ${JSON.stringify(unclear.slice(0, 100))}.`;
        throw new StoplineError('REQUEST_INVALID', twice);
      }
      const inQuery = isWithoutBody(asked.method) && body.length === 0 ? await findInQuery(url) : undefined;
      if (inQuery) return inQuery;
      return isGrpc
        ? findInGrpcBody({ body, headers, bodyLimit: config.bodyLimit }, route)
        : gate.find({ body, headers }, url, route);
    },
    begin: () => waitForAnswer(stream, besideWithinMs),
  });
  gone.signal.throwIfAborted();
  const { action, decision, judged, found } = passage;
  const told = passageHeaders(passage);
  const outcome: CallOutcome = { verdict: decision?.verdict, source };
  // Envoy forwards the body it has, so nothing can be taken out of it.
  if (action !== 'refuse' && !decision?.refused.length) {
    return { message: writeAllowed(told), outcome, ...(judged && { judged }) };
  }
  const error =
    decision?.error ?? new StoplineError('IMAGE_REFUSED', 'Expected images like the reference but received others.');
  return {
    message: deny(error, { requestId, path, route, headers: told, id: found?.id }),
    outcome: { ...outcome, error },
  };
}

/** @throws {StoplineError} REQUEST_TOO_LARGE where Envoy sent a part of the body */
function checkWhole({ headers }: AskedRequest): void {
  if (!isPartial(headers)) return;
  const part = 'Expected the whole body but Envoy sent a part of it: raise max_request_bytes.';
  throw new StoplineError('REQUEST_TOO_LARGE', part);
}

/** A refusal in the form that the clients of the path know. */
function deny(
  error: StoplineError,
  about: {
    requestId: string;
    path: string;
    route: Route | undefined;
    headers?: Record<string, string>;
    id?: string | undefined;
  },
): Buffer {
  const { requestId, path, route, headers = {}, id } = about;
  const protocol = route ? protocols[route.protocol] : guessProtocol(path);
  const told = hideInternals(error, requestId);
  return writeDenied(grpcCodes.PERMISSION_DENIED, {
    status: error.status,
    headers: { ...headers, 'content-type': protocol.refusalType ?? 'application/json; charset=utf-8' },
    body: JSON.stringify(protocol.refusal(told, id)),
    message: `${told.code}: ${told.message}`,
  });
}
