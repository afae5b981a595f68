import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { StoplineError } from '../errors.ts';
import { loadProfile, saveProfile } from '../profile/file.ts';
import { checkSignature, makeKeys, readKeyFile, signProfile } from '../profile/signature.ts';
import { commandLine, note, print, printable, printJson } from './terminal.ts';

/** The parts of `stopline profile` that say who vouches for a Profile. */
export function signatureCommands(): Command[] {
  const examples = `
Examples:
  ${commandLine('profile', 'keygen', '--out', 'release')}
  ${commandLine('profile', 'sign', 'camera.stopline', '--key', 'release.key')}
  ${commandLine('profile', 'verify', 'camera.stopline', '--key', 'release.pub')}
  ${commandLine('serve', '--profile', 'camera.stopline', '--profile-key', 'release.pub')}`;
  const keys = new Command('keygen')
    .summary('make a pair of keys to sign Profiles with')
    .requiredOption('-o, --out <NAME>', 'writes NAME.key, which is secret, and NAME.pub')
    .option('--json', 'print the files as JSON')
    .action(({ out, json }: { out: string; json?: boolean }) => {
      keygen(out);
      if (json) printJson({ private: `${out}.key`, public: `${out}.pub` });
      else note(`Wrote ${printable(out)}.key, which is secret, and ${printable(out)}.pub`);
    });
  const sign = new Command('sign')
    .summary('sign a Profile')
    .description(
      'A checksum finds damage, a signature finds malice: with --profile-key the service judges only by Profiles that the ' +
        'owner of a private key has signed.',
    )
    .argument('<profile>', 'Profile file')
    .requiredOption('--key <FILE>', 'private key, as keygen writes it')
    .option('-o, --out <FILE>', 'file to write; default: the Profile itself')
    .option('--json', 'print what was signed as JSON')
    .action(async (path: string, { key, out = path, json }: { key: string; out?: string; json?: boolean }) => {
      const profile = signProfile(await loadProfile(path), await readKeyFile(key));
      await saveProfile(profile, out);
      if (json) return printJson({ file: out, name: profile.name, sha256: profile.sha256 });
      note(`Signed ${printable(profile.name)} ${profile.sha256.slice(0, 16)}: ${printable(out)}`);
    });
  const verify = new Command('verify')
    .summary('check that a Profile is signed by a key')
    .argument('<profile>', 'Profile file')
    .requiredOption('--key <FILE>', 'public key, as keygen writes it')
    .option('--json', 'print what is signed as JSON')
    .action(async (path: string, { key, json }: { key: string; json?: boolean }) => {
      const profile = await loadProfile(path);
      checkSignature(profile, await readKeyFile(key));
      if (json) return printJson({ signed: true, name: profile.name, sha256: profile.sha256 });
      print(`signed: ${printable(profile.name)} ${profile.sha256}`);
    });
  return [keys, sign, verify].map((command) => command.addHelpText('after', examples));
}

function keygen(out: string): void {
  const { privateKey, publicKey } = makeKeys();
  try {
    // Never over another key: what it signed could not be signed again.
    writeFileSync(`${out}.key`, privateKey, { mode: 0o600, flag: 'wx' });
    writeFileSync(`${out}.pub`, publicKey, { flag: 'wx' });
  } catch (cause) {
    const { code, path } = cause as NodeJS.ErrnoException;
    throw new StoplineError('OUTPUT_UNWRITABLE', `The keys cannot be written: "${path}" gave ${code}.`, { cause });
  }
}
