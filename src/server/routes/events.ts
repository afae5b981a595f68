import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Counter, type Registry } from '@prometheus-io/client';
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { StoplineError } from '../../errors.ts';
import { refusals } from '../http/schemas.ts';
import { sourcePattern } from '../judge.ts';
import { gauge } from '../metrics.ts';

export type EventKind = 'verdict' | 'transition';

export interface Events {
  publish(kind: EventKind, source: string, data: object): void;
}

interface Sent {
  number: number;
  kind: EventKind;
  source: string;
  text: string;
}

interface Client {
  response: ServerResponse;
  wants(event: Sent): boolean;
}

/** Connections are kept open, so there may not be many; a dashboard has one. */
const maxClients = 64;
/** Events that a client gets when it comes back. */
const maxRemembered = 1000;
/** A client that lets this much lie unread is cut off: memory must not grow with its slowness. */
const maxUnreadBytes = 256 * 1024;
const heartbeatMs = 10_000;
/** How long a browser waits before it connects again. */
const retryMs = 2000;

/** GET /events: verdicts and changes of state as they come, as server-sent events. */
export function registerEvents(app: FastifyInstance, registry: Registry): Events {
  const clients = new Set<Client>();
  const remembered: Sent[] = [];
  /** Numbers begin anew with the process, so a number alone would not tell which events a client has missed. */
  const run = randomBytes(4).toString('hex');
  let last = 0;

  const dropped = new Counter({
    name: 'stopline_event_clients_dropped_total',
    help: 'Readers of /events cut off because they read too slowly.',
    registers: [registry],
  });
  gauge(registry, 'stopline_event_clients', 'Readers of /events.', () => clients.size);

  const send = (client: Client, text: string) => {
    if (client.response.writableLength > maxUnreadBytes) {
      clients.delete(client);
      client.response.destroy();
      dropped.inc();
    } else client.response.write(text);
  };

  const heartbeat = setInterval(() => {
    for (const client of clients) send(client, ':\n\n');
  }, heartbeatMs).unref();

  // An open stream is a request in flight: without this a service would not end before its drain time is over.
  app.addHook('preClose', async () => {
    clearInterval(heartbeat);
    for (const { response } of clients) response.end();
  });

  app.get(
    '/events',
    {
      config: { isStream: true },
      schema: {
        operationId: 'events',
        tags: ['drift'],
        summary: 'Verdicts and changes of state as they come.',
        description:
          'Server-sent events of the kinds `verdict` and `transition`. A client that comes back with `Last-Event-ID` gets what it ' +
          `missed of the last ${maxRemembered}; where that is not all, an event \`missed\` says so. A client that reads too slowly is cut off.`,
        querystring: Type.Object({
          source: Type.Optional(
            Type.String({ pattern: sourcePattern.source, description: 'Only those of one source.' }),
          ),
          kind: Type.Optional(Type.Enum(['verdict', 'transition'], { description: 'Only those of one kind.' })),
        }),
        response: {
          200: {
            description: 'A stream that does not end.',
            content: { 'text/event-stream': { schema: Type.String() } },
          },
          ...refusals(400, 503),
        },
      },
    },
    (request, reply) => {
      if (clients.size >= maxClients) {
        throw new StoplineError(
          'OVERLOADED',
          `Expected at most ${maxClients} readers of events but there are as many.`,
        );
      }
      const { source, kind } = request.query as { source?: string; kind?: EventKind };
      const client: Client = {
        response: reply.raw,
        wants: (event) => (!source || event.source === source) && (!kind || event.kind === kind),
      };
      reply.hijack();
      request.raw.socket.setTimeout(0); // the heartbeat finds out who is gone
      reply.raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        // What nginx would otherwise hold back until its buffer is full.
        'x-accel-buffering': 'no',
      });
      reply.raw.write(`retry: ${retryMs}\n\n`);
      reply.raw.on('close', () => clients.delete(client));
      const [, seenRun, seen] = /^(\w+)-(\d+)$/.exec(String(request.headers['last-event-id'])) ?? [];
      if (seenRun !== undefined) {
        const first = remembered[0]?.number ?? last + 1;
        if (seenRun !== run || Number(seen) < first - 1) reply.raw.write('event: missed\ndata: {}\n\n');
        for (const event of remembered) {
          const isNew = seenRun !== run || event.number > Number(seen);
          if (isNew && client.wants(event)) reply.raw.write(event.text);
        }
      }
      clients.add(client);
    },
  );

  return {
    publish(kind, source, data) {
      last += 1;
      const text = `id: ${run}-${last}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`;
      const event: Sent = { number: last, kind, source, text };
      remembered.push(event);
      if (remembered.length > maxRemembered) remembered.shift();
      for (const client of clients) if (client.wants(event)) send(client, text);
    },
  };
}
