import { Argument, Command, type Option } from 'commander';
import { commandLine, print } from './terminal.ts';

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
}

export function completionCommand(table: readonly Entry[]): Command {
  return new Command('completion')
    .description('Prints a script for a shell, which then completes commands, options and their values.')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('completion', 'bash')} > ~/.local/share/bash-completion/completions/stopline
  ${commandLine('completion', 'zsh')} > ~/.zfunc/_stopline   (a folder in fpath)
  ${commandLine('completion', 'fish')} > ~/.config/fish/completions/stopline.fish`,
    )
    .action(async (shell: Shell) => print((await writeCompletion(shell, table)).trimEnd()));
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
  return { path, summary, options: [...options, ...common], parts: command.commands.map((part) => part.name()) };
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
    ({ path, options, parts }) =>
      `    '${path}') words='${[...parts, ...options.map(({ word }) => word)].join(' ')}' ;;`,
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
    COMPREPLY=($(compgen -W '${names.join(' ')} help --help --help-all --version --quiet' -- "$current"))
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
  const cases = all.map(({ path, options, parts }) => {
    const first = parts.length > 0 ? `'2:part:(${parts.join(' ')})' ` : '';
    return `    '${path}') _arguments ${first}${options.map(describe).join(' ')} '*:file:_files' ;;`;
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
  _describe command commands
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
  const lines = all.flatMap(({ path, summary, options, parts }) => {
    const [name, part] = path.split(' ');
    const isHere =
      part === undefined
        ? `__fish_seen_subcommand_from ${name}`
        : `__fish_seen_subcommand_from ${name}; and __fish_seen_subcommand_from ${part}`;
    const starts =
      part === undefined
        ? [`complete -c stopline -n __fish_use_subcommand -a ${name} -f -d ${quote(summary)}`]
        : [
            `complete -c stopline -n ${quote(`__fish_seen_subcommand_from ${name}`)} -a ${part} -f -d ${quote(summary)}`,
          ];
    if (parts.length > 0) return starts;
    return [
      ...starts,
      ...options.map(({ word, meaning, values, takesValue }) => {
        const value = values ? ` -x -a ${quote(values.join(' '))}` : takesValue ? ' -r' : '';
        return `complete -c stopline -n ${quote(isHere)} -l ${word.slice(2)}${value} -d ${quote(meaning)}`;
      }),
    ];
  });
  return `# Completion of stopline for fish.\n${lines.join('\n')}\n`;
}
