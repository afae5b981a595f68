import type { FastifyBaseLogger } from 'fastify';
import pino from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Verdict } from '../profile/verdict.ts';
import type { Config } from '../settings.ts';

/** Where lines go, and whether a person reads them there. */
type LogOutput = NodeJS.WritableStream & { isTTY?: boolean };

/**
 * What the service logs with: JSON lines for programs; on a terminal, or where `logFormat` says so, a line for people with the
 * time, the level in colour and the fields behind it.
 */
export function createLogger(
  { logLevel: level, logFormat }: Pick<Config, 'logLevel' | 'logFormat'>,
  output: LogOutput = process.stdout,
): FastifyBaseLogger {
  const isTerminal = output.isTTY === true;
  const isPretty = logFormat === 'pretty' || (logFormat === 'auto' && isTerminal);
  if (!isPretty) return pino({ level }, output);
  const describe = prettyFactory({
    colorize: isTerminal && !process.env.NO_COLOR,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
  });
  // Not by a stream of its own: each would leave its listeners on the terminal, and a process may start many services.
  return pino({ level }, { write: (line) => void output.write(describe(line)) });
}

/** What the line of a request says of the image that decided on it. */
export function describeVerdict({ verdict, decidedBy, pValue, reasons, image }: Verdict): object {
  return { verdict, decidedBy, pValue, reason: reasons[0]?.statistic, sha256: image.sha256 };
}
