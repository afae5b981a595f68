import { Command, CommanderError, Help, type Option } from 'commander';
import { asStoplineError, StoplineError } from '../errors.ts';
import { version } from '../version.ts';
import { type CommandEntry, commandTable } from './commands.ts';
import { Interruption } from './interrupt.ts';
import { commandLine, complain, print, printable, printJson, setQuiet } from './terminal.ts';

/** What a user typed, after the words that count for every command are taken out of it. */
interface Asked {
  args: string[];
  /** The command, where one is named first or after `help`. */
  entry?: CommandEntry | undefined;
  isHelp: boolean;
  /** Whether help is to show every option. */
  isWhole: boolean;
}

/** `--quiet` and `--help-all` mean the same everywhere, so no command needs to know them. */
function readArguments(given: readonly string[]): Asked {
  const end = given.indexOf('--') < 0 ? given.length : given.indexOf('--');
  const words = given.slice(0, end);
  const isWhole = words.includes('--help-all');
  setQuiet(words.some((word) => word === '--quiet' || word === '-q'));
  const kept = joinPercent(words)
    .filter((word) => word !== '--quiet' && word !== '-q')
    .map((word) => (word === '--help-all' ? '--help' : word));
  const [first, second] = kept;
  const name = first === 'help' ? second : first;
  return {
    args: [...kept, ...given.slice(end)],
    entry: commandTable.find((entry) => entry.name === name),
    isHelp: first === 'help' || kept.includes('--help') || kept.includes('-h'),
    isWhole,
  };
}

/** `--max-warn 1 %` without quotes is three words, of which the first two alone would allow everything. */
function joinPercent(words: readonly string[]): string[] {
  const joined: string[] = [];
  for (const word of words) {
    const [option, number] = [joined.at(-2) ?? '', joined.at(-1) ?? ''];
    const isOfOption = /^--[\w-]+=[\d.]+$/.test(number) || (/^--[\w-]+$/.test(option) && /^[\d.]+$/.test(number));
    if (word === '%' && isOfOption) joined.push(`${joined.pop()}%`);
    else joined.push(word);
  }
  return joined;
}

/** Runs what was typed, and says what to exit with. */
export async function run(given: readonly string[]): Promise<number> {
  const asked = readArguments(given);
  try {
    const program = await createProgram(asked);
    const [only] = asked.args.filter((word) => word !== '--json');
    if (asked.args.length === 2 && isJsonAsked(asked.args) && (only === '--version' || only === '-V')) {
      printJson({ version });
      return 0;
    }
    if (asked.isWhole && asked.entry === undefined) {
      print([program.helpInformation(), ...program.commands.map((command) => command.helpInformation())].join('\n'));
      return 0;
    }
    await program.parseAsync(asked.args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error, asked.entry);
  }
}

async function createProgram(asked: Asked): Promise<Command> {
  const program = new Command('stopline')
    .description(
      'Is this image still like the ones the classifier was trained on? Learns a Profile from reference images, then judges ' +
        'every image before the prediction is trusted: pass, warn or block, with reasons and a promised false-alarm rate.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help; also after a command')
    .option('--help-all', 'print all of it; also after a command')
    .option('-q, --quiet', 'print results, warnings and errors only; also after a command')
    .addHelpCommand(makeHelpCommand().helpGroup('This machine:'))
    .exitOverride()
    .configureHelp({
      // Commander leaves narrower texts unwrapped.
      minWidthToWrap: 20,
      visibleOptions: (command) => listOptions(command, asked),
    })
    // Errors are printed once, by `report`.
    .configureOutput({ outputError: () => {}, writeOut: (text) => print(text.trimEnd()) })
    .addHelpText(
      'after',
      `
Try:
  ${commandLine('demo')}
  ${commandLine('fit', 'frames/', '--out', 'camera.stopline')}
  ${commandLine('inspect', 'frame.jpg', '--profile', 'camera.stopline')}
  ${commandLine('score', 'incoming/', '--profile', 'camera.stopline', '--out', 'verdicts.jsonl')}
  ${commandLine('serve', '--profile', 'camera.stopline')}
  ${commandLine('help', 'fit')}`,
    );
  for (const entry of commandTable) {
    const isNeeded = entry === asked.entry || (asked.isWhole && asked.entry === undefined);
    const command = isNeeded ? await loadCommand(entry, asked) : new Command(entry.name);
    command.summary(entry.summary).helpGroup(entry.group).copyInheritedSettings(program);
    // Its parts stand under no heading, so its help does not either.
    if (command.commands.length > 0) command.addHelpCommand(makeHelpCommand());
    for (const part of command.commands) part.copyInheritedSettings(command);
    program.addCommand(command);
  }
  return program;
}

function makeHelpCommand(): Command {
  return new Command('help').argument('[command]').summary('print help for a command');
}

async function loadCommand(entry: CommandEntry, asked: Asked): Promise<Command> {
  const command = await entry.load();
  const hidden = countHidden(command, entry, asked);
  if (hidden > 0) {
    command.addHelpText('afterAll', `\n${hidden} more options: ${commandLine(entry.name, '--help-all')}`);
  }
  return command;
}

function isCommon(option: Option, { common }: CommandEntry): boolean {
  return common === undefined || common.includes(option.long ?? '') || option.mandatory || option.long === '--json';
}

function countHidden(command: Command, entry: CommandEntry, { isWhole }: Asked): number {
  return isWhole ? 0 : command.options.filter((option) => !option.hidden && !isCommon(option, entry)).length;
}

/** The options that help shows. Where no help is asked for, this is what mistyped options are compared with. */
function listOptions(command: Command, { isHelp, isWhole, entry }: Asked): Option[] {
  const all = new Help().visibleOptions(command);
  if (!isHelp || isWhole || entry === undefined || command.name() !== entry.name) return all;
  return all.filter((option) => option.long === '--help' || isCommon(option, entry));
}

/** `check --format json` asks for it, too; behind `--` stand paths only. */
function isJsonAsked(given: readonly string[]): boolean {
  const words = given.includes('--') ? given.slice(0, given.indexOf('--')) : given;
  return words.some(
    (word, i) => word === '--json' || word === '--format=json' || (word === 'json' && words[i - 1] === '--format'),
  );
}

/** Prints an error where a person and a program will look for it, and says what to exit with. */
export function report(error: unknown, entry?: CommandEntry): number {
  if (error instanceof Interruption) {
    if (error.exit !== 0) complain(`stopline: ${error.message}`);
    return error.exit;
  }
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0; // help or version was asked for
    if (error.code === 'commander.help') return 2; // no command: its help was printed
  }
  const coded = error instanceof CommanderError ? nameMistake(error, entry) : asStoplineError(error);
  // Not raised on purpose, so a fault of Stopline: where it happened belongs in the report.
  if (coded.cause === error && error instanceof Error) {
    complain((error.stack ?? '').split('\n').map(printable).join('\n'));
  }
  complain(`stopline: ${coded.code}: ${printable(coded.message)}`);
  if (isJsonAsked(process.argv)) printJson({ error: coded });
  return coded.exit;
}

function nameMistake({ message }: CommanderError, entry?: CommandEntry): StoplineError {
  const hint = entry === undefined ? commandLine('--help') : commandLine('help', entry.name);
  const text = message
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .replace(/\.+$/, '');
  return new StoplineError('OPTION_INVALID', `${text}. See: ${hint}`);
}
