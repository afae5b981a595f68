/** How every script of this repository reads what stands behind its name. */
import { parseArgs } from 'node:util';

/** What an option is: on or off, a whole number from 0, or a text. */
type OptionKind = boolean | number | string;

/** An option, by what it is without being given: `false` for one that is on or off. */
export interface OptionUsage<Kind extends OptionKind = OptionKind> {
  default: Kind;
  /** What it does, in a few words. */
  says: string;
}

export interface Usage<Options extends Record<string, OptionUsage>> {
  /** As it is typed: `npm run fuzz --`. */
  command: string;
  /** What it does, in a sentence. */
  about: string;
  options?: Options;
  /** What may be named beside the options, each with a sentence; any number of them. */
  names?: Readonly<Record<string, string>>;
  /** What may be given beside the options where that is no name of a list, such as `FOLDER`. */
  given?: string;
}

/** `false` is a boolean, not only false. */
type Widened<Kind> = Kind extends boolean ? boolean : Kind extends number ? number : string;
type Values<Options extends Record<string, OptionUsage>> = {
  [Name in keyof Options]: Widened<Options[Name]['default']>;
};

export interface Arguments<Options extends Record<string, OptionUsage>> {
  values: Values<Options>;
  /** What was named or given. */
  names: string[];
}

/**
 * Reads the arguments of a script. `--help` prints what there is and ends; what is not there is told in one line, with exit status 2.
 * @example
 * const { values } = readArguments({
 *   command: 'npm run fuzz --',
 *   about: 'Mutates images and looks at what becomes of them.',
 *   options: { files: { default: 20_000, says: 'images' } },
 * });
 * values.files; // a number
 */
export function readArguments<const Options extends Record<string, OptionUsage> = Record<never, OptionUsage>>(
  usage: Usage<Options>,
  args: readonly string[] = process.argv.slice(2),
): Arguments<Options> {
  const parsed = parseArguments(usage, args);
  if (typeof parsed === 'string') {
    console.error(`${parsed} See ${usage.command} --help`);
    process.exit(2);
  }
  if (parsed !== undefined) return parsed;
  console.log(describeUsage(usage));
  process.exit(0);
}

/** @returns what was read, or what is wrong with it in a sentence; undefined where help is asked for */
export function parseArguments<Options extends Record<string, OptionUsage>>(
  usage: Usage<Options>,
  args: readonly string[],
): Arguments<Options> | string | undefined {
  const { options = {} as Options, names: known, given } = usage;
  const entries = Object.entries<OptionUsage>(options);
  const kinds = entries.map(([name, { default: usual }]) => [
    name,
    { type: typeof usual === 'boolean' ? 'boolean' : 'string' } as const,
  ]);
  let read: { values: Record<string, unknown>; positionals: string[] };
  try {
    read = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { ...Object.fromEntries(kinds), help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    return `${(error as Error).message.split('. ', 1)[0].replace(/\.$/, '')}.`;
  }
  if (read.values.help) return undefined;
  const values: Record<string, OptionKind> = {};
  for (const [name, { default: usual }] of entries) {
    const text = read.values[name];
    if (typeof usual === 'number' && text !== undefined) {
      if (!/^\d+(\.\d+)?$/.test(String(text))) return `Expected --${name} as a number but received ${text}.`;
      values[name] = Number(text);
    } else values[name] = (text as OptionKind) ?? usual;
  }
  const { positionals: named } = read;
  const unknown = named.find((name) => known && !Object.hasOwn(known, name));
  if (unknown !== undefined) return `Expected one of ${Object.keys(known ?? {}).join(', ')} but received ${unknown}.`;
  if (named.length > 0 && !known && given === undefined)
    return `Expected nothing but options but received ${named[0]}.`;
  return { values: values as Values<Options>, names: named };
}

/** What `--help` prints. */
export function describeUsage<Options extends Record<string, OptionUsage>>(usage: Usage<Options>): string {
  const { command, about, options = {}, names, given } = usage;
  const listed = Object.entries<OptionUsage>(options).map(([name, { default: usual, says }]): [string, string] => {
    const isGiven = usual !== false && usual !== '' && usual !== 0;
    return [
      `--${name}${usual === false ? '' : typeof usual === 'number' ? ' N' : ' TEXT'}`,
      isGiven ? `${says} (${usual})` : says,
    ];
  });
  const line = [command, names && '[NAME...]', given && `[${given}]`, listed.length > 0 && '[OPTIONS]'];
  const parts = [`${line.filter(Boolean).join(' ')}\n\n${about}`];
  if (names) parts.push(`Names:\n${align(Object.entries(names))}`);
  if (listed.length > 0) parts.push(`Options:\n${align(listed)}`);
  return parts.join('\n\n');
}

function align(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}
