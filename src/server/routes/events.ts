import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Counter, type Registry } from '@prometheus-io/client';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { StoplineError } from '../../errors.ts';
import { Type } from '../../schema.ts';
import { sourcePattern } from '../../settings.ts';
import { refusals } from '../http/schemas.ts';
import { gauge } from '../metrics.ts';

const eventKinds = ['verdict', 'transition', 'attention'] as const;
export type EventKind = (typeof eventKinds)[number];

interface Sent {
  number: number;
  kind: EventKind;
  source: string;
  text: string;
}

interface Client {
  response: ServerResponse;
  /** Whoever reads: an address, or a key. */
  reader: string;
  wants(event: Sent): boolean;
}

/** Connections are kept open, so there may not be many; a dashboard has one. One more takes the place of the oldest. */
const maxClients = 64;
/** Events that a client gets when it comes back. */
const maxRemembered = 1000;
/** A client that lets this much lie unread is cut off: memory must not grow with its slowness. */
const maxUnreadBytes = 256 * 1024;
const heartbeatMs = 10_000;
/** How long a browser waits before it connects again. */
const retryMs = 2000;

const eventsSchema = {
  operationId: 'events',
  tags: ['drift'],
  summary: 'Verdicts and changes of state as they come.',
  description:
    'Server-sent events of the kinds `verdict`, `transition` (a change of state) and `attention` (most of the latest images of a source ' +
    'begin to be blocked, or no longer are). A client that comes back with `Last-Event-ID` gets what it ' +
    `missed of the last ${maxRemembered}; where that is not all, an event \`missed\` says so. A client that reads too slowly is cut off.`,
  querystring: Type.Object({
    source: Type.Optional(Type.String({ pattern: sourcePattern.source, description: 'Only those of one source.' })),
    kind: Type.Optional(Type.Enum([...eventKinds], { description: 'Only those of one kind.' })),
  }),
  response: {
    200: {
      description: 'A stream that does not end.',
      content: { 'text/event-stream': { schema: Type.String() } },
    },
    ...refusals(400, 503),
  },
};

/** GET /events: verdicts and changes of state as they come, as server-sent events. */
export function registerEvents(app: FastifyInstance, registry: Registry): Events {
  const events = new Events(registry);
  // An open stream is a request in flight: without this a service would not end before its drain time is over.
  app.addHook('preClose', async () => events.close());
  app.get('/events', { config: { isStream: true }, schema: eventsSchema }, (request, reply) => {
    events.join(request, reply);
  });
  return events;
}

/** The readers of /events, and the events that one who comes back may have missed. */
export class Events {
  readonly #clients = new Set<Client>();
  readonly #remembered: Sent[] = [];
  /** Numbers begin anew with the process, so a number alone would not tell which events a client has missed. */
  readonly #run = randomBytes(4).toString('hex');
  readonly #cutOff: Counter;
  readonly #heartbeat: NodeJS.Timeout;
  #last = 0;

  constructor(registry: Registry) {
    this.#cutOff = new Counter({
      name: 'stopline_event_clients_dropped_total',
      help: 'Readers of /events cut off because they read too slowly, or because there are too many.',
      registers: [registry],
    });
    gauge(registry, 'stopline_event_clients', 'Readers of /events.', () => this.#clients.size);
    this.#heartbeat = setInterval(() => {
      for (const client of this.#clients) this.#send(client, ':\n\n');
    }, heartbeatMs).unref();
  }

  publish(kind: EventKind, source: string, data: object): void {
    this.#last += 1;
    const text = `id: ${this.#run}-${this.#last}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`;
    const event: Sent = { number: this.#last, kind, source, text };
    this.#remembered.push(event);
    if (this.#remembered.length > maxRemembered) this.#remembered.shift();
    for (const client of this.#clients) if (client.wants(event)) this.#send(client, text);
  }

  /** Makes the reply a stream of events. @throws {StoplineError} OVERLOADED where there are too many readers */
  join(request: FastifyRequest, reply: FastifyReply): void {
    const reader = request.ip;
    if (this.#clients.size >= maxClients) this.#makeRoom(reader);
    const { source, kind } = request.query as { source?: string; kind?: EventKind };
    const client: Client = {
      response: reply.raw,
      reader,
      wants: (event) => (!source || event.source === source) && (!kind || event.kind === kind),
    };
    reply.hijack();
    request.raw.setTimeout(0); // the heartbeat finds out who is gone
    reply.raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // Without it nginx holds events back until its buffer is full.
      'x-accel-buffering': 'no',
    });
    reply.raw.write(`retry: ${retryMs}\n\n`);
    reply.raw.on('close', () => this.#clients.delete(client));
    this.#sendMissed(client, String(request.headers['last-event-id']));
    this.#clients.add(client);
  }

  close(): void {
    clearInterval(this.#heartbeat);
    for (const { response } of this.#clients) response.end();
  }

  /**
   * Cuts off the oldest connection of whoever has most: many that only wait must not lock out one that looks.
   * @throws {StoplineError} OVERLOADED where nobody has more than the newcomer
   */
  #makeRoom(newcomer: string): void {
    const counts = new Map<string, number>();
    for (const { reader } of this.#clients) counts.set(reader, (counts.get(reader) ?? 0) + 1);
    const [most, count] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
    if (count <= 1 && most !== newcomer) {
      throw new StoplineError('OVERLOADED', `Expected at most ${maxClients} readers of events but there are as many.`);
    }
    for (const client of this.#clients) {
      if (client.reader !== most) continue;
      this.#clients.delete(client);
      client.response.end();
      this.#cutOff.inc();
      return;
    }
  }

  #sendMissed({ response, wants }: Client, lastEventId: string): void {
    const [, run, seen] = /^(\w+)-(\d+)$/.exec(lastEventId) ?? [];
    if (run === undefined) return;
    const isSameRun = run === this.#run;
    const first = this.#remembered[0]?.number ?? this.#last + 1;
    if (!isSameRun || Number(seen) < first - 1) response.write('event: missed\ndata: {}\n\n');
    for (const event of this.#remembered) {
      const isNew = !isSameRun || event.number > Number(seen);
      if (isNew && wants(event)) response.write(event.text);
    }
  }

  #send(client: Client, text: string): void {
    if (client.response.writableLength <= maxUnreadBytes) {
      client.response.write(text);
      return;
    }
    this.#clients.delete(client);
    client.response.destroy();
    this.#cutOff.inc();
  }
}
