import { brokenPipe } from './interrupt.ts';

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', async (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') {
    if (!(process as NodeJS.EventEmitter).emit(brokenPipe)) process.exit();
    return;
  }
  const [{ report }, { StoplineError }] = await Promise.all([import('./program.ts'), import('../errors.ts')]);
  process.exit(report(new StoplineError('OUTPUT_UNWRITABLE', `Standard output cannot be written: ${error.message}.`)));
});
process.stderr.on('error', () => {});

const args = process.argv.slice(2);
if (args.length === 1 && (args[0] === '-V' || args[0] === '--version')) {
  // Nothing else is loaded for it.
  const { version } = await import('../version.ts');
  process.stdout.write(`${version}\n`);
} else {
  const { run } = await import('./program.ts');
  process.exitCode = await run(args);
}
