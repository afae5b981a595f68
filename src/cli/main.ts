import { readFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { Command, CommanderError } from 'commander';
import { asStoplineError, StoplineError } from '../errors.ts';
import { Interruption } from './interrupt.ts';
import { commandLine, note, printable, printJson } from './terminal.ts';

// Half of the start of a short command is compiling; Node keeps the result in the temporary folder of the user.
enableCompileCache?.();

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

/** Loaded when needed: the service and the camera of the demo would triple the start of `inspect`. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  fit: async () => (await import('./fit.ts')).fitCommand(),
  inspect: async () => (await import('./inspect.ts')).inspectCommand(),
  score: async () => (await import('./score.ts')).scoreCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  drift: async () => (await import('./drift.ts')).driftCommand(),
  worker: async () => (await import('./worker.ts')).workerCommand(),
  consume: async () => (await import('./consume.ts')).consumeCommand(),
  merge: async () => (await import('./merge.ts')).mergeCommand(),
  report: async () => (await import('./report.ts')).reportCommand(),
  serve: async () => (await import('./serve.ts')).serveCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  demo: async () => (await import('./demo/demo.ts')).demoCommand(),
  model: async () => (await import('./model.ts')).modelCommand(),
  profile: async () => (await import('./profile.ts')).profileCommand(),
  key: async () => (await import('./key.ts')).keyCommand(),
  corrupt: async () => (await import('./corrupt.ts')).corruptCommand(),
};

async function createProgram(named: string | undefined): Promise<Command> {
  const program = new Command('stopline')
    .description(
      'Is this image still like the ones the classifier was trained on? Learns a Profile from reference images, then judges ' +
        'every image before the prediction is trusted: pass, warn or block, with reasons and a promised false-alarm rate.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; also after a command')
    .exitOverride()
    // Errors are printed once, by `report`.
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      'after',
      `
First steps:
  ${commandLine('demo')}
  ${commandLine('fit', 'frames/', '--out', 'camera.stopline')}
  ${commandLine('inspect', 'frame.jpg', '--profile', 'camera.stopline')}
  ${commandLine('score', 'incoming/', '--profile', 'camera.stopline', '--out', 'verdicts.jsonl')}
  ${commandLine('serve', '--profile', 'camera.stopline')}
  ${commandLine('help', 'fit')}`,
    );
  const names = named === undefined ? Object.keys(commands) : [named];
  for (const name of names) {
    const command = await commands[name]();
    command.copyInheritedSettings(program);
    for (const part of command.commands) part.copyInheritedSettings(command);
    program.addCommand(command);
  }
  return program;
}

/** Prints an error where a person and a program will look for it, and says what to exit with. */
function report(error: unknown, named?: string): number {
  if (error instanceof Interruption) {
    if (error.exit !== 0) note(`stopline: ${error.message}`);
    return error.exit;
  }
  let coded: StoplineError;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0; // help or version was asked for
    if (error.code === 'commander.help') return 2; // no command: its help was printed
    const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
    const hint = named === undefined ? commandLine('--help') : commandLine('help', named);
    coded = new StoplineError('OPTION_INVALID', `${message}. See: ${hint}`);
  } else {
    coded = asStoplineError(error);
    // Not raised on purpose, so a fault of ours: where it happened belongs in the report.
    if (coded !== error && error instanceof Error) note((error.stack ?? '').split('\n').map(printable).join('\n'));
  }
  note(`stopline: ${coded.code}: ${printable(coded.message)}`);
  if (process.argv.includes('--json')) printJson({ error: coded });
  return coded.exit;
}

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    if (!process.emit('SIGPIPE')) process.exit();
    return;
  }
  process.exit(report(new StoplineError('OUTPUT_UNWRITABLE', `Standard output cannot be written: ${error.message}.`)));
});
process.stderr.on('error', () => {});

// Native packages crash on Node versions that they were not built for, without a word.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 12)) {
  const error = new StoplineError(
    'RUNTIME_UNSAFE',
    `Expected Node 22.12 or later but received ${process.versions.node}.`,
  );
  process.exit(report(error));
}

const [first] = process.argv.slice(2);
const named = first !== undefined && Object.hasOwn(commands, first) ? first : undefined;
try {
  await (await createProgram(named)).parseAsync();
} catch (error) {
  process.exitCode = report(error, named);
}
