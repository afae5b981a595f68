import { endSentence, StoplineError } from '../errors.ts';
import type { Broker, BrokerOptions } from './brokers/broker.ts';
import { openKafka } from './brokers/kafka.ts';
import { openMqtt } from './brokers/mqtt.ts';
import { openNats } from './brokers/nats.ts';
import { openRedisStream } from './brokers/redisstream.ts';

export const brokerKinds = ['nats', 'mqtt', 'redis-stream', 'kafka'] as const;
export type BrokerKind = (typeof brokerKinds)[number];

/**
 * @throws {StoplineError} PACKAGE_MISSING, BROKER_UNAVAILABLE
 */
export async function openBroker(kind: BrokerKind, options: BrokerOptions): Promise<Broker> {
  const open = { nats: openNats, mqtt: openMqtt, 'redis-stream': openRedisStream, kafka: openKafka }[kind];
  try {
    return await open(options);
  } catch (cause) {
    if (cause instanceof StoplineError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new StoplineError(
      'BROKER_UNAVAILABLE',
      `The broker at ${hideUser(options.server)}: ${endSentence(message)}`,
      { cause },
    );
  }
}

/** Addresses may hold a password. */
function hideUser(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}
