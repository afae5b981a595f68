import { Argument, Command, type Option } from 'commander';
import { commandLine, print, printJson } from './terminal.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** A command as it stands in the table of commands. */
interface Entry {
  name: string;
  summary: string;
  load(): Promise<Command>;
}

/** A word that may follow, with what it means. */
interface Word {
  word: string;
  meaning: string;
  /** Values of an option, where only few are possible. */
  values?: readonly string[] | undefined;
  takesValue?: boolean;
}

/** What can be typed after a command, or after a part of one, such as `profile sign`. */
interface Completions {
  path: string;
  summary: string;
  options: Word[];
  parts: string[];
  /** What its first argument may be, where only few words are possible. */
  words: readonly string[];
}

/** Options that stand before any command. */
const globals = ['--help', '--help-all', '--version', '--quiet'];

export function completionCommand(table: readonly Entry[]): Command {
  return new Command('completion')
    .description('Prints a script for a shell, which then completes commands, options and their values.')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .option('--json', 'print the script as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('completion', 'bash')} > ~/.local/share/bash-completion/completions/stopline
  ${commandLine('completion', 'zsh')} > ~/.zfunc/_stopline   (a folder in fpath)
  ${commandLine('completion', 'fish')} > ~/.config/fish/completions/stopline.fish`,
    )
    .action(async (shell: Shell, { json }: { json?: boolean }) => {
      const script = (await writeCompletion(shell, table)).trimEnd();
      if (json) printJson({ shell, script });
      else print(script);
    });
}

export async function writeCompletion(shell: Shell, table: readonly Entry[]): Promise<string> {
  const all: Completions[] = [];
  for (const { name, summary, load } of table) {
    const command = await load();
    all.push(readCompletions(command, name, summary));
    for (const part of command.commands) {
      all.push(readCompletions(part, `${name} ${part.name()}`, part.summary() || part.description()));
    }
  }
  return { bash: writeBash, zsh: writeZsh, fish: writeFish }[shell](all);
}

function readCompletions(command: Command, path: string, summary: string): Completions {
  const common: Word[] = [
    { word: '--help', meaning: 'print help' },
    { word: '--help-all', meaning: 'print all of it' },
    { word: '--quiet', meaning: 'print results, warnings and errors only' },
  ];
  const options = command.options.filter(({ long }) => long !== undefined).map(readWord);
  const words = command.registeredArguments[0]?.argChoices ?? [];
  const parts = command.commands.map((part) => part.name());
  return { path, summary, options: [...options, ...common], parts, words };
}

function readWord({ long, description, argChoices, required, optional }: Option): Word {
  return {
    word: long as string,
    meaning: description.split(/[.:;(]/)[0].trim(),
    values: argChoices,
    takesValue: required || optional,
  };
}

function writeBash(all: readonly Completions[]): string {
  const cases = all.map(
    ({ path, options, parts, words }) =>
      `    '${path}') words='${[...parts, ...words, ...options.map(({ word }) => word)].join(' ')}' ;;`,
  );
  const values = all.flatMap(({ path, options }) =>
    options.flatMap(({ word, values }) =>
      values ? [`    '${path} ${word}') words='${values.join(' ')}' isValue=1 ;;`] : [],
    ),
  );
  const names = all.filter(({ path }) => !path.includes(' ')).map(({ path }) => path);
  const parents = all.filter(({ parts }) => parts.length > 0).map(({ path }) => path);
  return `# Completion of stopline for bash.
_stopline() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} path=\${COMP_WORDS[1]} words= isValue=
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W '${names.join(' ')} help ${globals.join(' ')}' -- "$current"))
    return
  fi
  if [[ $path == help ]]; then
    COMPREPLY=($(compgen -W '${names.join(' ')}' -- "$current"))
    return
  fi
  case $path in ${parents.join('|')}) (( COMP_CWORD > 2 )) && path="$path \${COMP_WORDS[2]}" ;; esac
  case "$path $before" in
${values.join('\n')}
  esac
  if [[ -z $words && ( $current == -* || $COMP_CWORD == 2 ) ]]; then
    case $path in
${cases.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current") $([[ $current == -* || $isValue ]] || compgen -f -- "$current"))
}
complete -o filenames -F _stopline stopline
`;
}

function writeZsh(all: readonly Completions[]): string {
  const quote = (text: string) => text.replace(/[\\[\]:]/g, '\\$&').replaceAll("'", "'\\''");
  const describe = ({ word, meaning, values, takesValue }: Word) =>
    `'${word}[${quote(meaning)}]${takesValue ? `:value:${values ? `(${values.join(' ')})` : '_files'}` : ''}'`;
  const cases = all.map(({ path, options, parts, words }) => {
    const first = [...parts, ...words];
    const told = first.length > 0 ? `'2:word:(${first.join(' ')})' ` : '';
    return `    '${path}') _arguments ${told}${options.map(describe).join(' ')} '*:file:_files' ;;`;
  });
  const parents = all.filter(({ parts }) => parts.length > 0).map(({ path }) => path);
  const commands = all
    .filter(({ path }) => !path.includes(' '))
    .map(({ path, summary }) => `    '${path}:${quote(summary)}'`);
  return `#compdef stopline
# Completion of stopline for zsh.
local -a commands
commands=(
${commands.join('\n')}
)
if (( CURRENT == 2 )); then
  if [[ $PREFIX == -* ]]; then compadd -- ${globals.join(' ')}; else _describe command commands; fi
  return
fi
local name=\${words[2]}
case $name in ${parents.join('|')}) (( CURRENT > 3 )) && name="$name \${words[3]}" ;; esac
case $name in
    help) _describe command commands ;;
${cases.join('\n')}
esac
`;
}

function writeFish(all: readonly Completions[]): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const seen = (...words: string[]) => `__fish_seen_subcommand_from ${words.join(' ')}`;
  const names = all.filter(({ path }) => !path.includes(' '));
  const complete = (condition: string, rest: string) => `complete -c stopline -n ${quote(condition)} ${rest}`;
  const lines = all.flatMap(({ path, summary, options, parts, words }) => {
    const [name, part] = path.split(' ');
    const siblings = all.find((entry) => entry.path === name)?.parts ?? [];
    const isHere = part === undefined ? seen(name) : `${seen(name)}; and ${seen(part)}`;
    // A part is offered until one is there, and the options of a command that has parts belong to these.
    const isBefore = parts.length > 0 ? `${seen(name)}; and not ${seen(...parts)}` : isHere;
    return [
      part === undefined
        ? complete('__fish_use_subcommand', `-a ${name} -f -d ${quote(summary)}`)
        : complete(`${seen(name)}; and not ${seen(...siblings)}`, `-a ${part} -f -d ${quote(summary)}`),
      ...(words.length > 0 ? [complete(isHere, `-f -a ${quote(words.join(' '))}`)] : []),
      ...options.map(({ word, meaning, values, takesValue }) => {
        const value = values ? ` -x -a ${quote(values.join(' '))}` : takesValue ? ' -r' : '';
        return complete(isBefore, `-l ${word.slice(2)}${value} -d ${quote(meaning)}`);
      }),
    ];
  });
  const first = [
    ...globals.map((word) => complete('__fish_use_subcommand', `-l ${word.slice(2)}`)),
    complete('__fish_use_subcommand', `-a help -f -d ${quote('what a command does')}`),
    ...names.map(({ path, summary }) => complete(seen('help'), `-a ${path} -f -d ${quote(summary)}`)),
  ];
  return `# Completion of stopline for fish.\n${[...first, ...lines].join('\n')}\n`;
}
