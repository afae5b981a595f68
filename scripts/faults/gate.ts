/** Every fault of judging and of the upstream, open and closed, twenty requests each: `npm run faults -- gate`. */

import { startGrpcRecorder } from '../../test/fixtures/grpc.ts';
import { fitReference } from '../../test/fixtures/reference.ts';
import { startFaultProxy, startRecorder } from '../../test/fixtures/upstream.ts';
import { readArguments } from '../arguments.ts';
import { differentials } from './differentials.ts';
import {
  challengeDifferentials,
  challengeJudge,
  challengeUpstream,
  judgeFaults,
  upstreamFaults,
  ways,
  writeBadProfiles,
} from './gatecases.ts';
import { challengeCall, challengeGrpcDifferentials, challengeGrpcUpstream } from './grpccases.ts';
import { grpcDifferentials } from './grpcdifferentials.ts';

const { values } = readArguments({
  command: 'npm run faults -- gate',
  about: 'Every fault of judging and of the upstream, open and closed, over HTTP and gRPC.',
  options: { requests: { default: 20, says: 'of each' } },
});
const times = values.requests;
const reference = await fitReference();
await writeBadProfiles(reference);
const upstream = await startRecorder();
const proxy = await startFaultProxy(upstream);
const rows: { fault: string; requests: number; wrong: string[] }[] = [];
for (const fault of judgeFaults) {
  const wrong = await challengeJudge(fault, { reference, upstream, times });
  rows.push({ fault: fault.name, requests: times * ways.length, wrong });
  console.log(`${fault.name}: ${wrong.length} wrong`);
}
for (const fault of upstreamFaults) {
  const wrong = await challengeUpstream(fault, { reference, proxy, times });
  rows.push({ fault: `upstream: ${fault.fault}`, requests: times * ways.length, wrong });
  console.log(`upstream: ${fault.fault}: ${wrong.length} wrong`);
}
const calls = await startGrpcRecorder();
for (const fault of judgeFaults) {
  const wrong = await challengeCall(fault, { reference, upstream: calls, times });
  rows.push({ fault: `gRPC: ${fault.name}`, requests: times * ways.length, wrong });
  console.log(`gRPC: ${fault.name}: ${wrong.length} wrong`);
}
for (const fault of upstreamFaults) {
  const wrong = await challengeGrpcUpstream(fault, { reference, upstream: calls, times });
  rows.push({ fault: `gRPC: upstream: ${fault.fault}`, requests: times * ways.length, wrong });
  console.log(`gRPC: upstream: ${fault.fault}: ${wrong.length} wrong`);
}
const misheard = await challengeGrpcDifferentials({ reference, upstream: calls });
rows.push({ fault: 'gRPC: read differently', requests: grpcDifferentials.length, wrong: misheard });
console.log(`gRPC: read differently: ${misheard.length} wrong of ${grpcDifferentials.length}`);
calls.close();
const misread = await challengeDifferentials({ reference, upstream });
rows.push({ fault: 'read differently', requests: differentials.length, wrong: misread });
console.log(`read differently: ${misread.length} wrong of ${differentials.length}`);
await proxy.close();
await upstream.close();
await reference.remove();
const wrong = rows.flatMap((row) => row.wrong);
const requests = rows.reduce((sum, row) => sum + row.requests, 0);
console.log(
  JSON.stringify({ cases: rows.length * ways.length, requests, wrong: wrong.length, first: wrong.slice(0, 5) }),
);
if (wrong.length > 0) process.exitCode = 1;
