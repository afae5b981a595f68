#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { asStoplineError, StoplineError } from '../errors.ts';
import { corruptCommand } from './corrupt.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { fitCommand } from './fit.ts';
import { inspectCommand } from './inspect.ts';
import { Interruption } from './interrupt.ts';
import { scoreCommand } from './score.ts';
import { serveCommand } from './serve.ts';
import { commandLine, note, printable, printJson } from './terminal.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

function createProgram(): Command {
  const program = new Command('stopline')
    .description(
      'Is this image still like the ones the classifier was trained on? Learns a Profile from reference images, then judges ' +
        'every image before the prediction is trusted: pass, warn or block, with reasons and a promised false-alarm rate.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; also after a command')
    .exitOverride()
    // Errors are printed once, by `report`; what commander would write is its message again.
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
  const commands = [
    fitCommand(),
    inspectCommand(),
    scoreCommand(),
    serveCommand(),
    doctorCommand(),
    demoCommand(),
    corruptCommand(),
  ];
  for (const command of commands) {
    command.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return program;
}

/** Prints an error where a person and a program will look for it, and says what to exit with. */
function report(error: unknown, isJson: boolean): number {
  if (error instanceof Interruption) {
    note(`stopline: ${error.message}`);
    return error.exit;
  }
  let coded: StoplineError;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0; // help or version was asked for
    if (error.code === 'commander.help') return 2; // no command: its help was printed
    const message = error.message.replace(/^error: /, '').replace('\n', ' ');
    const hint = commandLine(...(subcommand() ? ['help', subcommand() as string] : ['--help']));
    coded = new StoplineError('OPTION_INVALID', `${message}. See: ${hint}`);
  } else {
    coded = asStoplineError(error);
    if (coded !== error && error instanceof Error) note(printable(error.stack ?? '').replaceAll('\ufffd', '\n'));
  }
  note(`stopline: ${coded.code}: ${printable(coded.message)}`);
  if (isJson) printJson({ error: coded });
  return coded.exit;
}

function subcommand(): string | undefined {
  return createProgram()
    .commands.find((command) => command.name() === process.argv[2])
    ?.name();
}

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
process.stderr.on('error', () => {});

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = report(error, process.argv.includes('--json'));
}
