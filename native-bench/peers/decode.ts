/** The floor: decodes every image of a folder with sharp, one after the other, and keeps nothing. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';

sharp.concurrency(1);
const [folder] = process.argv.slice(2);
for (const name of readdirSync(folder)) await sharp(join(folder, name)).raw().toBuffer();
