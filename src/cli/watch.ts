import { Command } from 'commander';
import { StoplineError } from '../errors.ts';
import { nameCamera, readCamera } from '../run/cameras/address.ts';
import { type CameraSetting, type ConfigKey, settings } from '../settings.ts';
import { configWithProfile, settingOption } from './options.ts';
import { runService } from './serve.ts';
import { commandLine } from './terminal.ts';

type WatchFlags = Partial<Record<ConfigKey, unknown>> & {
  config?: string;
  every?: string;
  name?: string;
  json?: boolean;
};

/** Groups of settings that say nothing of cameras that are watched. */
const leftOut: readonly string[] = ['gate', 'runs'];
/** Options of their own stand for these. */
const replaced: readonly ConfigKey[] = ['cameras', 'cameraEveryMs'];
/** Without an image for so long a camera is stale, unless a setting says otherwise: clients may rest, cameras do not. */
const staleAfterMs = 30_000;
/** A camera that is looked at seldom may miss so many times. */
const missedImages = 5;

export function watchCommand(): Command {
  const command = new Command('watch')
    .description(
      'Watches cameras: fetches their images, judges each, and shows on a page, in metrics and in alerts what happens to them. ' +
        'It is the service of `stopline serve`, with cameras. A camera that is lost is tried again until it is back. Needs ffmpeg ' +
        '5.1 or later for video streams and clips.',
    )
    .argument(
      '[SOURCES...]',
      'rtsp://host/path, http(s)://host/path (motion JPEG, snapshot, video or HLS), /dev/video0, clips; default: `cameras` of the settings',
    )
    .option('--every <TIME>', 'one image of each camera in so long: 500ms, 1s, 2m (default: 1s)')
    .option('--name <NAMES>', 'names of the sources, in their order, separated by commas (default: host or file)');
  for (const { key, group } of settings) {
    if (leftOut.includes(group.name) || replaced.includes(key)) continue;
    command.addOption(settingOption(key).helpGroup(`${group.title}:`));
  }
  return command
    .option(
      '--config <FILE>',
      'JSON file with settings, `cameras` among them, so that no password stands on the command line',
    )
    .option('--json', 'print where the service listens as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('watch', '--profile', 'camera.stopline', 'rtsp://viewer:secret@192.168.1.20/stream1')}
  ${commandLine('watch', '--every', '5s', '--name', 'front,rear', '--profile', 'camera.stopline', 'http://127.0.0.1:8081/snapshot.jpg', 'rtsp://192.168.1.22/h264')}
  ${commandLine('watch', '--config', 'cameras.json', '--profile', 'camera.stopline')}
    with {"cameras": [{"name": "front", "address": "rtsp://viewer:secret@192.168.1.20/stream1"}]}

Exit status: 0 when it was stopped.`,
    )
    .action(runWatch);
}

async function runWatch(sources: string[], { config: file, every, name, json, ...flags }: WatchFlags): Promise<void> {
  const cameras = sources.length === 0 ? undefined : nameSources(sources, name?.split(','));
  const cameraEveryMs = every === undefined ? undefined : parseTime(every);
  const loaded = configWithProfile({ ...flags, cameras, cameraEveryMs }, file);
  const { config } = loaded;
  if (config.cameras === undefined) {
    throw new StoplineError(
      'OPTION_INVALID',
      'Expected cameras, as arguments or as `cameras` in the file of --config, but received none.',
    );
  }
  const longestMs = Math.max(...config.cameras.map(({ everyMs = config.cameraEveryMs }) => everyMs));
  const isOpen = loaded.sources.staleAfterMs === 'default';
  const stale = isOpen ? { staleAfterMs: Math.max(staleAfterMs, missedImages * longestMs) } : {};
  await runService({ ...config, ...stale }, json);
}

/** @throws {StoplineError} OPTION_INVALID */
function nameSources(sources: readonly string[], names: readonly string[] | undefined): CameraSetting[] {
  if (names !== undefined && names.length !== sources.length) {
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected --name to give ${sources.length} names, separated by commas, but received ${names.length}.`,
    );
  }
  const given = names ?? sources.map((source) => nameCamera(readCamera(source)));
  return sources.map((address, i) => {
    const before = given.slice(0, i).filter((name) => name === given[i]).length;
    // Names that were asked for stay as they are: two of the same are an error.
    return { name: before > 0 && names === undefined ? `${given[i]}-${before + 1}` : given[i].trim(), address };
  });
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A time such as 500ms or 2m in milliseconds; a bare number is seconds. @throws {StoplineError} OPTION_INVALID */
export function parseTime(text: string): number {
  const [, digits, unit = 's'] = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*$/.exec(text) ?? [];
  if (digits === undefined) {
    throw new StoplineError('OPTION_INVALID', `Expected --every as 500ms, 1s or 2m but received "${text}".`);
  }
  return Math.round(Number(digits) * units[unit]);
}
