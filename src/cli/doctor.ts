import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import sharp from 'sharp';
import { loadConfig, runtimeEnvironment } from '../config.ts';
import { examineConfinement } from '../core/confine.ts';
import type { CoreInfo } from '../core/core.ts';
import { isSource } from '../core/entry.ts';
import { loadCore } from '../core/index.ts';
import { loadNative, nativeVariants } from '../core/native.ts';
import { findPrebuilt } from '../core/prebuilt.ts';
import { loadWasm } from '../core/wasm.ts';
import { asStoplineError, type ErrorJson } from '../errors.ts';
import { decode, decoderVersion } from '../image/decode.ts';
import { decodeRule } from '../image/decoderule.ts';
import { examineDefaultModel } from '../image/embedding/choose.ts';
import { examineLiteRt } from '../image/embedding/litert.ts';
import { examineOnnxRuntime, type OnnxFindings } from '../image/embedding/onnx.ts';
import { examineTensorflow } from '../image/embedding/tfjs.ts';
import { checkLoaders } from '../image/loaders.ts';
import { checkVersions } from '../server/versions.ts';
import { version } from '../version.ts';
import { encodeFrame, renderFrame } from './demo/camera/camera.ts';
import { commandLine, print, printable, printJson, styled, table } from './terminal.ts';

/** One thing that was tried. */
interface DoctorCheck {
  name: string;
  ok: boolean;
  text: string;
}

interface Findings {
  usable: boolean;
  versions: Record<string, string>;
  decode: { rule: string; decoder: string };
  core: CoreInfo | { error: ErrorJson };
  /** Instruction sets of the native build that this processor runs, fastest first. */
  nativeVariants: string[];
  threads: { cores: number; workers: number; decoding: number };
  allocator: string;
  /** What is taken from a process that works on images. */
  confined: string[];
  /** What runs models here; without it, statistics alone are judged. */
  models: {
    onnx: OnnxFindings;
    tensorflow: ReturnType<typeof examineTensorflow>;
    tflite: ReturnType<typeof examineLiteRt>;
    /** The model that fit takes by itself. */
    default: Awaited<ReturnType<typeof examineDefaultModel>>;
  };
  checks: DoctorCheck[];
  /** What would make it faster or leaner, with the command to type. */
  hints: string[];
}

/** Native and WASM agree on integers exactly; roots and sums of floats may differ in the last bits. */
const coreTolerance = 1e-6;

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Prints versions, which build of the C core runs and why not the faster one, and runs a self-test.')
    .option('--json', 'print the findings as JSON')
    .addOption(
      new Option('--device <DEVICE>', 'gpu also tries the providers that run models on graphics cards')
        .choices(['cpu', 'gpu'])
        .default('cpu'),
    )
    .addHelpText('after', `\nExamples:\n  ${commandLine('doctor')}\n\nExit status: 0 when Stopline is usable, else 70.`)
    .action(async (flags: { json?: boolean; device: 'cpu' | 'gpu' }) => {
      const findings = await examine(flags.device);
      if (!findings.usable) process.exitCode = 70;
      if (flags.json) printJson(findings);
      else print(describe(findings));
    });
}

async function examine(device: 'cpu' | 'gpu'): Promise<Findings> {
  const hints: string[] = [];
  let core: Findings['core'];
  try {
    core = loadCore().info;
    if (core.build === 'wasm') hints.push(adviseNative());
  } catch (error) {
    core = { error: asStoplineError(error).toJSON() };
  }
  const cores = availableParallelism();
  const { UV_THREADPOOL_SIZE, MALLOC_ARENA_MAX } = runtimeEnvironment();
  const { threads } = loadConfig().config;
  const decoding = Number(UV_THREADPOOL_SIZE ?? 4);
  if (decoding < threads) {
    hints.push(`Images are decoded on ${decoding} threads for ${threads} workers: set UV_THREADPOOL_SIZE=${threads}`);
  }
  const allocator = describeAllocator(MALLOC_ARENA_MAX);
  if (allocator.hint) hints.push(allocator.hint);
  const confined = examineConfinement();
  if (process.platform === 'linux' && !confined.includes('seccomp')) {
    hints.push(adviseConfinement());
  }
  const checks = [
    await check('core', compareCores),
    await check('decode', decodeGenerated),
    await check('loaders', refuseOtherFormats),
    await check('versions', () => {
      hints.push(...checkVersions().map(({ text }) => text));
      return 'nothing that runs here has a known hole that a service must not have';
    }),
  ];
  return {
    usable: !('error' in core) && checks.every(({ ok }) => ok),
    versions: { stopline: version, node: process.versions.node, ...codecVersions() },
    decode: { rule: decodeRule, decoder: decoderVersion },
    core,
    nativeVariants: variants(),
    threads: { cores, workers: threads, decoding },
    allocator: allocator.text,
    confined,
    models: {
      onnx: await examineOnnxRuntime(device),
      tensorflow: examineTensorflow(),
      tflite: examineLiteRt(),
      default: await examineDefaultModel(device),
    },
    checks,
    hints,
  };
}

/** What whoever has WebAssembly can do about it: a package brings the native core for Linux, a checkout builds it. */
function adviseNative(): string {
  if (isSource(import.meta.url)) return 'Build the native core, which is faster: npm run build:native';
  const { platform, arch } = process;
  if (existsSync(findPrebuilt('stopline.node')))
    return 'The native core of this package does not load, see above; WebAssembly gives the same verdicts more slowly';
  return `This package has native cores for Linux on x64 and arm64 alone; on ${platform}-${arch} WebAssembly gives the same verdicts more slowly`;
}

function adviseConfinement(): string {
  if (!existsSync(findPrebuilt('confine.node')))
    return isSource(import.meta.url)
      ? 'Take more rights from the processes that decode images: npm run build:native'
      : `This package confines the processes that decode images on Linux on x64 and arm64 alone, not on ${process.arch}`;
  return 'The processes that decode images keep rights: the kernel lacks seccomp, or the path of the package has a space or a colon';
}

/** sharp, libvips and the codecs that Stopline lets it use. */
function codecVersions(): Record<string, string> {
  const versions = sharp.versions as Record<string, string | undefined>;
  const known = ['sharp', 'vips', 'mozjpeg', 'png', 'webp'].filter((name) => versions[name] !== undefined);
  return Object.fromEntries(known.map((name) => [name === 'vips' ? 'libvips' : name, versions[name] as string]));
}

function variants(): string[] {
  try {
    return nativeVariants();
  } catch {
    return [];
  }
}

/** glibc keeps an arena of freed memory for each thread, which under image loads grows without bound. */
function describeAllocator(arenas: string | undefined): { text: string; hint?: string } {
  const report = process.report.getReport() as unknown as {
    header: { glibcVersionRuntime?: string };
    sharedObjects: string[];
  };
  const other = report.sharedObjects.map((path) => /jemalloc|tcmalloc|mimalloc/.exec(path)?.[0]).find(Boolean);
  if (other) return { text: other };
  const glibc = report.header.glibcVersionRuntime;
  if (!glibc) return { text: `that of ${process.platform}` };
  if (arenas !== undefined) return { text: `glibc ${glibc} with MALLOC_ARENA_MAX=${arenas}` };
  return {
    text: `glibc ${glibc}`,
    hint: 'For a long-running service, keep memory flat: set MALLOC_ARENA_MAX=2, or preload jemalloc',
  };
}

async function check(name: string, test: () => string | Promise<string>): Promise<DoctorCheck> {
  try {
    return { name, ok: true, text: await test() };
  } catch (error) {
    return { name, ok: false, text: (error as Error).message };
  }
}

/** The same frame, of a size that no vector width divides, through every build that loads; one of them is enough. */
function compareCores(): string {
  const frame = renderFrame(0, { width: 131, height: 77 });
  const results: Float64Array[] = [];
  const missing: string[] = [];
  for (const [name, load] of [
    ['native', loadNative],
    ['WASM', loadWasm],
  ] as const) {
    try {
      results.push(load().measure(frame.data, frame.width, frame.height, frame.channels).slice());
    } catch (error) {
      missing.push(`no ${name} core: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  const [first, second] = results;
  if (first === undefined) throw new Error(missing.join('; '));
  if (second === undefined) return `measures ${first.length} numbers of a generated frame; ${missing.join('; ')}`;
  const worst = first.reduce((most, value, i) => Math.max(most, relativeDifference(value, second[i])), 0);
  if (!(worst <= coreTolerance)) throw new Error(`native and WASM differ by ${worst.toExponential(1)} on one frame`);
  return `native and WASM agree on ${first.length} numbers of a generated frame (worst difference ${worst.toExponential(0)})`;
}

function relativeDifference(a: number, b: number): number {
  if (Object.is(a, b) || a === b) return 0; // also where both are NaN
  return Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b));
}

/** What is encoded must come back: same size, and nearly the same mean. */
async function decodeGenerated(): Promise<string> {
  const frame = renderFrame(0, { width: 160, height: 90 });
  const { frame: decoded } = await decode(await encodeFrame(frame));
  const mean = (data: Uint8Array) => data.reduce((sum, value) => sum + value, 0) / data.length;
  const off = Math.abs(mean(frame.data) - mean(decoded.data));
  if (decoded.width !== 160 || decoded.height !== 90) {
    throw new Error(`expected 160x90 pixels from a generated JPEG but received ${decoded.width}x${decoded.height}`);
  }
  if (!(off < 2)) throw new Error(`a generated JPEG comes back ${off.toFixed(1)} DN off on average`);
  return `a generated JPEG comes back within ${off.toFixed(2)} DN on average`;
}

async function refuseOtherFormats(): Promise<string> {
  await checkLoaders();
  return 'libvips refuses SVG, GIF and TIFF';
}

function describe(findings: Findings): string {
  const { core, threads, checks, hints, versions } = findings;
  const rows = [
    ...Object.entries(versions),
    ['core', 'error' in core ? printable(core.error.message) : `${core.build}, ${core.simd}`],
  ];
  if ('reason' in core && core.reason) rows.push(['', `not the native one: ${printable(core.reason)}`]);
  if (findings.nativeVariants.length > 0) rows.push(['', `native runs here as ${findings.nativeVariants.join(', ')}`]);
  rows.push(
    ['threads', `${threads.workers} workers on ${threads.cores} cores, ${threads.decoding} for decoding`],
    ['allocator', findings.allocator],
    ['decoders', findings.confined.length > 0 ? `confined by ${findings.confined.join(', ')}` : 'not confined'],
    ...modelRows(findings.models),
  );
  for (const { name, ok, text } of checks) {
    rows.push([`test ${name}`, `${ok ? styled('green', 'ok') : styled('red', 'FAILED')}: ${printable(text)}`]);
  }
  const lines = [table(rows)];
  for (const hint of hints) lines.push(`${styled('yellow', 'hint:')} ${hint}`);
  lines.push(
    findings.usable ? styled('green', 'Stopline is usable here.') : styled('red', 'Stopline is not usable here.'),
  );
  return lines.join('\n');
}

function modelRows({ onnx, tensorflow, tflite, default: own }: Findings['models']): string[][] {
  const rows: string[][] = [];
  if ('missing' in onnx) rows.push(['ONNX models', printable(onnx.missing)]);
  else {
    rows.push(['ONNX models', `onnxruntime-node ${onnx.version}, ${onnx.providers.join(', ')}`]);
    for (const { provider, reason } of onnx.failed) rows.push(['', `not ${provider}: ${printable(reason)}`]);
  }
  for (const [name, { installed, missing }] of [
    ['TensorFlow models', tensorflow],
    ['TFLite models', tflite],
  ] as const) {
    const absent = missing.length > 0 ? `, without ${missing.join(', ')}` : '';
    rows.push([name, `${installed.join(', ') || 'no package'}${absent}`]);
  }
  if ('missing' in own) rows.push(['default model', `not used: ${printable(own.missing)}`]);
  else {
    const { model, sha256, dimension, provider, failed, assumed } = own;
    rows.push(['default model', `${printable(model)} ${sha256.slice(0, 16)}, ${dimension} numbers, on ${provider}`]);
    if (assumed.length > 0) rows.push(['', `its card assumes ${assumed.map(printable).join(', ')}`]);
    for (const { provider, reason } of failed) rows.push(['', `not ${provider}: ${printable(reason)}`]);
  }
  return rows;
}
