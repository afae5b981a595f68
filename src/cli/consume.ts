import { Command, Option } from 'commander';
import { defaultLimits } from '../image/frame.ts';
import { type BrokerKind, brokerKinds, openBroker } from '../run/brokers.ts';
import { consume } from '../run/consume.ts';
import { createObjectStore } from '../run/objects.ts';
import { createPool } from '../run/pool.ts';
import { createTally } from '../run/rows/tally.ts';
import { Interruption, interruptible } from './interrupt.ts';
import { configWithProfile, settingOption } from './options.ts';
import { startProgress } from './progress.ts';
import { commandLine, count, note } from './terminal.ts';

interface ConsumeFlags {
  from: BrokerKind;
  topic: string;
  publish: string;
  group: string;
  root?: string;
  broker?: string;
  profile?: string;
  model?: string;
  decideBy?: string;
  blockWhen?: string;
  device?: string;
  threads?: string;
  core?: string;
  queueStalledMs?: string;
  s3Endpoint?: string;
}

const servers: Record<BrokerKind, string> = {
  nats: 'nats://127.0.0.1:4222',
  mqtt: 'mqtt://127.0.0.1:1883',
  'redis-stream': 'redis://127.0.0.1:6379',
};

export function consumeCommand(): Command {
  return new Command('consume')
    .description(
      'Takes images, or JSON that names or holds one ("path", or "image" as base64, and "id"), and publishes the row of each ' +
        'with its id. A message is done with when its row is published: one that was at work in a consumer that died is ' +
        'judged again, under the same id.',
    )
    .addOption(new Option('--from <BROKER>', 'kind of broker').choices(brokerKinds).makeOptionMandatory())
    .addOption(settingOption('broker'))
    .requiredOption('--topic <NAME>', 'subject (JetStream), topic or stream that images come from')
    .requiredOption('--publish <NAME>', 'subject, topic or stream that verdicts go to')
    .option('--group <NAME>', 'consumers of one group share the messages', 'stopline')
    .option('--root <PLACE>', 'folder or s3:// prefix that images named in messages must lie under')
    .addOption(settingOption('profile'))
    .addOption(settingOption('model'))
    .addOption(settingOption('decideBy'))
    .addOption(settingOption('blockWhen'))
    .addOption(settingOption('device'))
    .addOption(settingOption('threads'))
    .addOption(settingOption('core'))
    .addOption(settingOption('queueStalledMs'))
    .addOption(settingOption('s3Endpoint'))
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('consume', '--from', 'nats', '--topic', 'camera.images', '--publish', 'camera.verdicts', '--profile', 'camera.stopline')}`,
    )
    .action(runConsume);
}

async function runConsume({ from, topic, publish, group, root, ...flags }: ConsumeFlags): Promise<void> {
  const { config } = configWithProfile(flags);
  const {
    threads,
    core,
    decideBy,
    blockWhen,
    model,
    device,
    maxPixels,
    maxSide,
    s3Endpoint,
    queueStalledMs: stalledMs,
  } = config;
  const { broker: server = servers[from] } = config;
  const atOnce = threads * 2;
  const tally = createTally();
  await interruptible(async (signal) => {
    const limits = { maxPixels, maxSide };
    const judging = { decideBy, blockWhen, model, device, limits };
    const pool = await createPool({ profile: config.profile, threads, core, ...judging });
    const progress = startProgress('consume');
    try {
      await pool.ready();
      const broker = await openBroker(from, { server, topic, publish, group, atOnce, stalledMs });
      note('waiting for images');
      try {
        await consume(broker, pool, {
          ...{
            root,
            store: createObjectStore({ endpoint: s3Endpoint }),
            maxBytes: defaultLimits.maxBytes,
            atOnce,
            signal,
          },
          onVerdict(row) {
            tally.add(row);
            progress.update({ done: tally.images, failed: tally.failed });
          },
        });
      } finally {
        await broker.close();
      }
    } finally {
      progress.stop();
      await pool.destroy();
    }
  }).catch((error) => {
    // To be told to stop is how it ends.
    if (!(error instanceof Interruption)) throw error;
  });
  const { verdicts, failed } = tally.toJSON();
  note(
    `${count(tally.images, 'verdict')} published: ${verdicts.pass} pass, ${verdicts.warn} warn, ${verdicts.block} block, ${failed} failed`,
  );
}
