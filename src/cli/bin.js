#!/usr/bin/env node
// Plain JavaScript, which every Node can read: an old one loads no TypeScript, and crashes in native packages without a word.
import { existsSync } from 'node:fs';
import module from 'node:module';

const [major, minor] = process.versions.node.split('.').map(Number);
// better-sqlite3 calls Node-API 10, which came with 22.14 and 23.6; without it the process ends with a segmentation fault.
const isOld = major < 22 || (major === 22 && minor < 14) || (major === 23 && minor < 6);
// In a checkout TypeScript is run as it is.
const isCheckout = existsSync(new URL('./main.ts', import.meta.url));
if (isOld) {
  const code = 'STOPLINE_ERR_RUNTIME_UNSAFE';
  const args = process.argv.slice(2).join(' ');
  const newer = isCheckout
    ? `npm ci && npm run -s stopline -- ${args}`
    : `npx --package node@24 --package stopline stopline ${args}`;
  const message = `Expected Node 22.14 or later but this is Node ${process.versions.node} at ${process.execPath}. To run with a newer one: ${newer.trim()}`;
  process.stderr.write(`stopline: ${code}: ${message}\n`);
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`);
  process.exitCode = 78;
} else {
  // Half of the start of a short command is compiling; Node keeps the result in the temporary folder of the user. Before the first
  // TypeScript: what takes its types away is not even loaded then.
  module.enableCompileCache?.();
  await import(isCheckout ? './main.ts' : './main.js');
}
