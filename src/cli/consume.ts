import { Command, Option } from 'commander';
import { type BrokerKind, brokerKinds, openBroker } from '../run/brokers.ts';
import { consume } from '../run/consume.ts';
import { createObjectStore } from '../run/objects.ts';
import { createPool, poolOptions } from '../run/pool.ts';
import { createTally } from '../run/rows/tally.ts';
import { Interruption, interruptible } from './interrupt.ts';
import { type JudgingFlags, judgingFlags, openJudging, settingOption } from './options.ts';
import { startProgress } from './progress.ts';
import { commandLine, count, note, printable, printJson } from './terminal.ts';

interface ConsumeFlags extends JudgingFlags {
  from: BrokerKind;
  topic: string;
  publish: string;
  group: string;
  root?: string;
  broker?: string;
  queueStalledMs?: string;
  s3Endpoint?: string;
  json?: boolean;
}

const servers: Record<BrokerKind, string> = {
  nats: 'nats://127.0.0.1:4222',
  mqtt: 'mqtt://127.0.0.1:1883',
  'redis-stream': 'redis://127.0.0.1:6379',
  kafka: 'kafka://127.0.0.1:9092',
};

export function consumeCommand(): Command {
  const command = new Command('consume')
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
    .addOption(settingOption('queueStalledMs'))
    .addOption(settingOption('s3Endpoint'))
    .option('--json', 'print what was published as JSON when it ends');
  for (const option of judgingFlags()) command.addOption(option);
  return command
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('consume', '--from', 'nats', '--topic', 'camera.images', '--publish', 'camera.verdicts', '--profile', 'camera.stopline')}`,
    )
    .action(runConsume);
}

async function runConsume({ from, topic, publish, group, root, json, ...flags }: ConsumeFlags): Promise<void> {
  const { config, profile, masks } = await openJudging(flags);
  const {
    threads,
    s3Endpoint,
    queueStalledMs: stalledMs,
    broker: server = servers[from],
    bodyLimit: maxBytes,
  } = config;
  const atOnce = threads * 2;
  const tally = createTally();
  await interruptible(async (signal) => {
    const pool = await createPool({ ...poolOptions(config, 'stream'), profile, masks });
    const progress = startProgress('consume');
    try {
      await pool.ready();
      const open = () => openBroker(from, { server, topic, publish, group, atOnce, stalledMs });
      note('waiting for images');
      await consume(open, pool, {
        root,
        store: createObjectStore({ endpoint: s3Endpoint }),
        maxBytes,
        atOnce,
        signal,
        onVerdict(row) {
          tally.add(row);
          progress.update({ done: tally.images, failed: tally.failed });
        },
        onLost: ({ message }) => note(`stopline: ${printable(message)} It is asked again until it is back.`),
      });
    } finally {
      progress.stop();
      await pool.destroy();
    }
  }).catch((error) => {
    // To be told to stop is how it ends.
    if (!(error instanceof Interruption)) throw error;
  });
  if (json) return printJson(tally.toJSON());
  const { verdicts, failed } = tally.toJSON();
  note(
    `${count(tally.images, 'verdict')} published: ${verdicts.pass} pass, ${verdicts.warn} warn, ${verdicts.block} block, ${failed} failed`,
  );
}
