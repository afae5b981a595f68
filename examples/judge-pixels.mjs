// Judges a PNG without any module of Node: the same file runs in Node, Deno and Bun, and its middle part in a page.
//
//   node judge-pixels.mjs camera.stopline frame.png
//   deno run --allow-read --allow-env judge-pixels.mjs camera.stopline frame.png
//   bun judge-pixels.mjs camera.stopline frame.png
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { createFrameJudge } from 'stopline/frame';

const [profilePath, imagePath] = process.argv.slice(2);

// In a page: await (await fetch('camera.stopline')).arrayBuffer()
const judge = await createFrameJudge({ profile: await readFile(profilePath) });
const { verdict, pValue, reasons } = await judge.inspectImage(await readFile(imagePath));
console.log(JSON.stringify({ verdict, pValue, reasons: reasons.map(({ text }) => text) }));
