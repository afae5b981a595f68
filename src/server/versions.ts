import { createRequire } from 'node:module';
import Database from 'better-sqlite3';
import sharp from 'sharp';
import { StoplineError } from '../errors.ts';

/** What a version is held against: the first that is safe in each line of releases that gets fixes. */
interface Minimum {
  name: string;
  /** By increasing version. A line of releases that is not among them is as old as the next one that is. */
  safe: readonly string[];
  why: string;
  /** What one `npm install` mends is refused; what belongs to the system is warned about. */
  isRefused: boolean;
}

const minimums: readonly Minimum[] = [
  { name: 'node', safe: ['22.23.0', '24.17.0', '26.3.1'], why: 'HTTP parser, TLS and HTTP/2', isRefused: false },
  { name: 'sharp', safe: ['0.35.4'], why: 'CVE-2026-84383 and others, heap overflows in decoders', isRefused: true },
  { name: 'libvips', safe: ['8.18.3'], why: 'reads and writes out of bounds in loaders', isRefused: true },
  { name: 'libwebp', safe: ['1.3.2'], why: 'CVE-2023-4863, heap overflow', isRefused: true },
  { name: 'fastify', safe: ['5.8.5'], why: 'CVE-2026-33806 and others, checks that can be passed by', isRefused: true },
  { name: '@fastify/static', safe: ['10.1.1'], why: 'CVE-2026-15074, guards that can be passed by', isRefused: true },
  { name: '@fastify/reply-from', safe: ['12.6.2'], why: 'CVE-2026-33805, forged headers', isRefused: true },
  { name: '@fastify/http-proxy', safe: ['11.4.4'], why: 'CVE-2026-33805, forged headers', isRefused: true },
  { name: 'undici', safe: ['6.28.0', '7.24.0'], why: 'CVE-2026-1525, request smuggling', isRefused: true },
  { name: 'onnxruntime-node', safe: ['1.28.1'], why: 'files outside the model, memory safety', isRefused: true },
  { name: 'sqlite', safe: ['3.51.3'], why: 'a fault that damages databases', isRefused: true },
];

/** A version that is not safe. */
export interface Unsafe {
  name: string;
  version: string;
  isRefused: boolean;
  /** For people: what to do and why. */
  text: string;
}

function numbers(version: string): number[] {
  return version.split(/[.+-]/, 3).map(Number);
}

/** Whether `a` comes before `b`; both of three numbers. */
function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((number, i) => number !== b[i]);
  return at >= 0 && a[at] < b[at];
}

/**
 * Which of these versions have known holes that the first safe version of their line has closed.
 * @param versions by name; names not in the table are not looked at
 */
export function findUnsafe(versions: Readonly<Record<string, string>>): Unsafe[] {
  return minimums.flatMap(({ name, safe, why, isRefused }) => {
    const version = versions[name];
    if (version === undefined) return [];
    const [major] = numbers(version);
    const minimum = safe.find((candidate) => numbers(candidate)[0] >= major);
    if (minimum === undefined || !isBefore(numbers(version), numbers(minimum))) return [];
    return [
      { name, version, isRefused, text: `Expected ${name} ${minimum} or later (${why}) but ${version} runs here` },
    ];
  });
}

/** Versions of everything in the table that is installed. */
export function installedVersions(): Record<string, string> {
  const require = createRequire(import.meta.url);
  const found: Record<string, string> = { node: process.versions.node };
  for (const { name } of minimums) {
    try {
      found[name] ??= require(`${name}/package.json`).version;
    } catch {
      // Not installed, or one that does not show its package.json: sharp, which tells its versions itself.
    }
  }
  const { sharp: wrapper, vips, webp } = sharp.versions as Record<string, string | undefined>;
  const sqlite = new Database(':memory:');
  found.sqlite = sqlite.prepare<[], { version: string }>('select sqlite_version() as version').get()!.version;
  sqlite.close();
  for (const [name, version] of Object.entries({ sharp: wrapper, libvips: vips, libwebp: webp })) {
    if (version !== undefined) found[name] = version;
  }
  return found;
}

/**
 * What a service must not start with.
 * @returns what it may start with but should not
 * @throws {StoplineError} RUNTIME_UNSAFE
 */
export function checkVersions(versions = installedVersions()): Unsafe[] {
  const unsafe = findUnsafe(versions);
  const refused = unsafe.filter(({ isRefused }) => isRefused);
  if (refused.length > 0) {
    const text = refused.map((entry) => entry.text).join('; ');
    throw new StoplineError('RUNTIME_UNSAFE', `${text}. Install what the lock file names: npm ci`);
  }
  return unsafe;
}
