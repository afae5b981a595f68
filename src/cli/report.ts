import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { defaultLimits } from '../decode.ts';
import { StoplineError } from '../errors.ts';
import { readImage } from '../folder.ts';
import { loadProfile } from '../profile.ts';
import { renderReport } from '../report/page.ts';
import { checkWritable } from './output.ts';
import { bytesText, commandLine, print, printable, printJson } from './terminal.ts';

interface ReportFlags {
  out: string;
  example?: string;
  json?: boolean;
}

export function reportCommand(): Command {
  return new Command('report')
    .summary('draw what a Profile is and what it can see: Profile -> one HTML file')
    .description(
      'Writes one HTML file that opens from disk and loads nothing: what the Profile was made of, which causes it sees from ' +
        'which severity on, which it is blind to, what each looks like, and how every statistic lies over the reference.',
    )
    .argument('<profile>', 'Profile file, such as camera.stopline')
    .option('-o, --out <FILE>', 'HTML file to write', 'report.html')
    .option('--example <FILE>', 'image to show the causes on, instead of the small one in the Profile')
    .option('--json', 'print the file and its size as JSON')
    .addHelpText(
      'after',
      `
Examples:
  ${commandLine('report', 'camera.stopline')}
  ${commandLine('report', 'camera.stopline', '--out', 'camera.html', '--example', 'frame.jpg')}

The page holds a small picture of one reference image. fit --no-example keeps it out of the Profile, and of the page.`,
    )
    .action(runReport);
}

async function runReport(path: string, flags: ReportFlags): Promise<void> {
  await checkWritable(flags.out);
  const profile = await loadProfile(path);
  const example = flags.example === undefined ? undefined : readImage(flags.example, defaultLimits.maxBytes);
  const bytes = Buffer.from(await renderReport(profile, { example }));
  try {
    await writeFile(flags.out, bytes);
  } catch (cause) {
    throw new StoplineError(
      'OUTPUT_UNWRITABLE',
      `The report cannot be written to "${flags.out}": ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
  if (flags.json) printJson({ file: flags.out, bytes: bytes.length });
  else print(`Report written to ${printable(flags.out)} (${bytesText(bytes.length)}): open it in a browser.`);
}
