import { createHash, randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { StoplineError } from '../errors.ts';
import { commandLine, note, print, printJson } from './terminal.ts';

const known = ['inspect', 'read', 'admin'];

export function keyCommand(): Command {
  return new Command('key')
    .description(
      'Prints a new API key, which is stored nowhere, and its hash, which the setting apiKeys takes: whoever reads the settings ' +
        'cannot use the service. Scopes: inspect judges images, read sees everything that is shown, admin includes both and changes things.',
    )
    .option('--scopes <LIST>', 'what the key is for, separated by commas: inspect, read, admin', 'inspect')
    .option('--json', 'print both as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('key')}
  ${commandLine('key', '--scopes', 'inspect,read')}
  ${commandLine('serve', '--profile', 'camera.stopline', '--host', '0.0.0.0', '--api-keys', 'inspect:...,admin:...')}`,
    )
    .action((flags: { scopes: string; json?: boolean }) => {
      const scopes = [...new Set(flags.scopes.split(',').map((scope) => scope.trim()))];
      const unknown = scopes.find((scope) => !known.includes(scope));
      if (unknown !== undefined) {
        throw new StoplineError(
          'OPTION_INVALID',
          `Expected --scopes to name ${known.join(', ')} but received "${unknown}".`,
        );
      }
      // A prefix that scanners for leaked secrets can look for.
      const key = `stopline_${randomBytes(32).toString('base64url')}`;
      const setting = `${scopes.join('+')}:${createHash('sha256').update(key).digest('hex')}`;
      if (flags.json) return printJson({ key, setting });
      print(key);
      note(`This is shown once. For the service, as one of --api-keys or STOPLINE_API_KEYS:\n${setting}`);
    });
}
