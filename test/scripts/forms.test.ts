import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildForm, type FormImages, formRoutes, forms } from '../../scripts/faults/forms.ts';
import { grpcFormRoutes, grpcForms } from '../../scripts/faults/grpcforms.ts';
import { encodeFrame, renderFrame } from '../../src/cli/demo/camera/camera.ts';
import { messageFinders, methodRoutes } from '../../src/gate/protocols/grpc/grpc.ts';
import { protocolRoutes, protocols, undescribed } from '../../src/gate/protocols/protocols.ts';
import { createMatcher } from '../../src/gate/routes.ts';
import type { Frame } from '../../src/image/frame.ts';
import type { Route } from '../../src/settings.ts';

const match = createMatcher([...formRoutes, ...protocolRoutes] as Route[]);
const matchCall = createMatcher([...grpcFormRoutes, ...methodRoutes] as Route[]);
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
async function find(route: Route | undefined, body: Buffer, headers: Record<string, string>) {
  const { protocol, ...where } = route ?? undescribed;
  try {
    return await protocols[protocol].find({ body, headers }, where);
  } catch (error) {
    return { images: [], code: String((error as { code?: string }).code), unjudged: error };
  }
}

async function findInMessage(path: string, message: Buffer) {
  const { protocol, ...where } = matchCall(path) ?? undescribed;
  try {
    return await messageFinders[protocol](message, where);
  } catch (error) {
    return { images: [], code: String((error as { code?: string }).code), unjudged: error };
  }
}

function isSame(image: Uint8Array | Frame): boolean {
  if (image instanceof Uint8Array) return images.encoded.equals(image) || images.second.equals(image);
  return images.pixels.equals(image.data) && image.width === images.width && image.height === images.height;
}

describe('every form in which images are sent', () => {
  it('is one of more than 120 over HTTP and 60 over gRPC, each under a name of its own', () => {
    expect(forms.length).toBeGreaterThanOrEqual(120);
    expect(grpcForms.length).toBeGreaterThanOrEqual(60);
    const all = [...forms, ...grpcForms];
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });

  it.each(forms.map((form) => [form.name, form] as const))('%s', async (_, form) => {
    const { headers, body } = buildForm(form, images);
    const found = await find(match(form.path), body, headers);
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
      const changed = [0.1, 0.5, 0.9].map((share) => body.subarray(0, Math.floor(body.length * share)));
      changed.push(Buffer.alloc(0), Buffer.concat([body, body]), Buffer.from('null'), Buffer.from('{"inputs":[{}]}'));
      for (const bytes of changed) {
        const found = await find(match(form.path), bytes, headers);
        if ('code' in found)
          expect(found.code, `${form.name}, ${bytes.length} bytes`).toMatch(/^STOPLINE_ERR_(UNINSPECTED|REQUEST_)/);
      }
    }
  });

  it.each(grpcForms.map((form) => [form.name, form] as const))('%s', async (_, form) => {
    const found = await findInMessage(form.path, form.message(images));
    expect(found.images.length, JSON.stringify(found.unjudged)).toBe(form.images);
    if (form.images > 0) expect([found.images.every(isSame), found.unjudged]).toEqual([true, undefined]);
    else expect(found.unjudged).toMatchObject({ code: 'STOPLINE_ERR_UNINSPECTED' });
  });

  it('has an answer over gRPC when the message is cut, changed or nonsense', async () => {
    for (const form of grpcForms) {
      const message = form.message(images);
      const changed = [0.1, 0.3, 0.5, 0.7, 0.9].map((share) => message.subarray(0, Math.floor(message.length * share)));
      // Lengths, shapes and types that are not those of the content.
      for (let at = 0; at < Math.min(message.length, 60); at++) {
        const other = Buffer.from(message);
        other[at] ^= 1 << (at % 8);
        changed.push(other);
      }
      changed.push(Buffer.alloc(0), Buffer.concat([message, message]), Buffer.from('null'), Buffer.alloc(2000, 0x0a));
      for (const bytes of changed) {
        const found = await findInMessage(form.path, bytes);
        if ('code' in found)
          expect(found.code, `${form.name}, ${bytes.length} bytes`).toMatch(/^STOPLINE_ERR_(UNINSPECTED|REQUEST_)/);
      }
    }
  });

  it('is in the documentation', () => {
    const document = readFileSync(new URL('../../docs/forms.md', import.meta.url), 'utf8');
    for (const { name } of [...forms, ...grpcForms]) expect(document).toContain(`| ${name} |`);
    expect(document).not.toMatch(/\| (no|not tried) \|/);
  });
});
