/** The reference of the command line: every command with its arguments and options, read from the commands themselves. */
import type { Command, Option } from 'commander';
import { commandTable } from '../../src/cli/commands.ts';
import { code, escapeTags, page, table } from './markdown.ts';

export async function renderCommandsPage(): Promise<string> {
  const commands = await Promise.all(commandTable.map(async (entry) => ({ entry, command: await entry.load() })));
  return page(
    'Commands',
    'src/cli/commands.ts',
    `Every command of ${code('stopline')}. From a checkout it is ${code('npm run -s stopline -- <command>')}, from the installed package ${code('npx stopline <command>')}. ${code('--help')} after a command is short, ${code('--help-all')} is what stands here; ${code('--quiet')} leaves out everything but results, warnings and errors. Many options are [settings](settings.md), which may also stand in a file or in the environment.`,
    table(
      ['command', 'what it does'],
      commands.map(({ entry }) => [`[${entry.name}](#${entry.name})`, entry.summary]),
    ),
    ...commands.map(({ entry, command }) => describeCommand(command, entry.name)),
  );
}

function describeCommand(command: Command, name: string): string {
  const parts = [`## ${name}`, escapeTags(command.description()), code(`stopline ${name} ${command.usage()}`)];
  if (command.registeredArguments.length > 0) {
    const rows = command.registeredArguments.map((argument) => [
      code(argument.name()),
      escapeTags(argument.description),
    ]);
    parts.push(table(['argument', 'meaning'], rows));
  }
  const options = command.options.filter((option) => !option.hidden);
  if (options.length > 0) parts.push(table(['option', 'meaning'], options.map(describeOption)));
  for (const sub of command.commands) {
    parts.push(describeCommand(sub, `${name} ${sub.name()}`).replace(/^## /, '### '));
  }
  return parts.filter((part) => part !== '').join('\n\n');
}

function describeOption(option: Option): string[] {
  const { description, defaultValue, argChoices } = option;
  const choices = argChoices === undefined ? '' : `; one of ${argChoices.join(', ')}`;
  const isTold = description.includes('(default') || defaultValue === undefined || typeof defaultValue === 'boolean';
  // How many cores there are depends on the machine, so it cannot stand in a document.
  const meaning = option.attributeName() === 'threads' ? description.replace(/ \(default: \d+\)$/, '') : description;
  return [code(option.flags), `${escapeTags(meaning)}${choices}${isTold ? '' : ` (default: ${defaultValue})`}`];
}
