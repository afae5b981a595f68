import { writeFrame } from '../../gate/bodies/grpcframes.ts';
import { WireReader, writeNumber } from '../../gate/bodies/protobuf.ts';
import { Answer } from './answer.ts';
import type { Call, CallOutcome } from './call.ts';
import type { TakenFrame } from './framereader.ts';
import { grpcCodes } from './status.ts';

/** The method of `grpc.health.v1` by which balancers and Kubernetes ask. */
export const healthMethod = '/grpc.health.v1.Health/Check';
/** The service by which somebody asks for the gate and not for what is behind it. */
const ownService = 'stopline';
/** Values of `HealthCheckResponse.ServingStatus`. */
const status = { serving: 1, notServing: 2 };

/** Whether a `HealthCheckRequest` asks for the gate itself. */
export function isAboutUs(taken: TakenFrame | undefined): boolean {
  if (!taken?.frame || taken.frame.isPacked) return false;
  const [field] = new WireReader().tryList(taken.frame.content, 0) ?? [];
  return field?.number === 1 && field.content.toString() === ownService;
}

/** Says whether the gate should get calls. */
export function answerHealth({ stream, requestId }: Call, isReady: boolean): CallOutcome {
  const answer = new Answer(stream);
  answer.begin({ ':status': 200, 'content-type': 'application/grpc', 'x-request-id': requestId });
  answer.insert(writeFrame(writeNumber(1, isReady ? status.serving : status.notServing)));
  answer.end({ 'grpc-status': String(grpcCodes.OK) });
  return { status: grpcCodes.OK };
}
