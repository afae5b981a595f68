import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildForm, type FormImages, forms } from '../../scripts/faults/forms.ts';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { protocolRoutes, protocols } from '../../src/gate/protocols/protocols.ts';
import { createMatcher } from '../../src/gate/routes.ts';
import type { Frame } from '../../src/image/frame.ts';
import type { ProtocolName } from '../../src/settings.ts';

const match = createMatcher(protocolRoutes);
let images: FormImages;

beforeAll(async () => {
  const frame = renderFrame(0, { width: 64, height: 48 });
  images = {
    encoded: Buffer.from(await encodeFrame(frame)),
    second: Buffer.from(await encodeFrame(renderFrame(1, { width: 64, height: 48 }))),
    pixels: Buffer.from(frame.data),
    width: frame.width,
    height: frame.height,
  };
});

/** What the gate finds, or the code of the error that says why it finds nothing. */
async function find(protocol: ProtocolName, body: Buffer, headers: Record<string, string>) {
  try {
    return await protocols[protocol].find({ body, headers }, {});
  } catch (error) {
    return { images: [], code: String((error as { code?: string }).code), unjudged: error };
  }
}

function isSame(image: Uint8Array | Frame): boolean {
  if (image instanceof Uint8Array) return images.encoded.equals(image) || images.second.equals(image);
  return images.pixels.equals(image.data) && image.width === images.width && image.height === images.height;
}

describe('every form in which images are sent', () => {
  it('is one of more than eighty, each under a name of its own', () => {
    expect(forms.length).toBeGreaterThanOrEqual(80);
    expect(new Set(forms.map(({ name }) => name)).size).toBe(forms.length);
  });

  it.each(forms.map((form) => [form.name, form] as const))('%s', async (_, form) => {
    const { headers, body } = buildForm(form, images);
    const protocol = match(form.path)?.protocol ?? 'find';
    const found = await find(protocol, body, headers);
    expect(found.images.length, JSON.stringify(found.unjudged)).toBe(form.images);
    // The images are those that were sent, and nothing is left over.
    if (form.images > 0) expect([found.images.every(isSame), found.unjudged]).toEqual([true, undefined]);
    else
      expect(found.unjudged).toMatchObject({
        code: expect.stringMatching(/^STOPLINE_ERR_(UNINSPECTED|REQUEST_TYPE)$/),
      });
  });

  it('has an answer when it is cut, changed or nonsense: images or a coded error', async () => {
    for (const form of forms) {
      const { headers, body } = buildForm(form, images);
      const protocol = match(form.path)?.protocol ?? 'find';
      const changed = [0.1, 0.5, 0.9].map((share) => body.subarray(0, Math.floor(body.length * share)));
      changed.push(Buffer.alloc(0), Buffer.concat([body, body]), Buffer.from('null'), Buffer.from('{"inputs":[{}]}'));
      for (const bytes of changed) {
        const found = await find(protocol, bytes, headers);
        if ('code' in found)
          expect(found.code, `${form.name}, ${bytes.length} bytes`).toMatch(/^STOPLINE_ERR_(UNINSPECTED|REQUEST_)/);
      }
    }
  });

  it('is in the documentation', () => {
    const document = readFileSync(new URL('../../docs/forms.md', import.meta.url), 'utf8');
    for (const { name } of forms) expect(document).toContain(`| ${name} |`);
  });
});
