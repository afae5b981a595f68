import { describe, expect, it } from 'vitest';
import { proposeRoutes } from '../../src/gate/openapiroutes.ts';

const json = (schema: object) => ({ requestBody: { content: { 'application/json': { schema } } } });
const form = (properties: object) => ({
  requestBody: { content: { 'multipart/form-data': { schema: { type: 'object', properties } } } },
});
const text = { type: 'string' };

/** What is proposed for one path. */
function propose(operation: object, more: object = {}, path = '/classify/{camera}') {
  return proposeRoutes({ openapi: '3.1.0', paths: { [path]: { post: operation } }, ...more }).map(({ route }) => route);
}

describe('routes from an OpenAPI document', () => {
  it.each<[string, object, object[]]>([
    ['a body of bytes', { requestBody: { content: { 'image/jpeg': {} } } }, [{ protocol: 'image' }]],
    ['any body', { requestBody: { content: { 'application/octet-stream': {} } } }, [{ protocol: 'image' }]],
    [
      'the file of a form',
      form({ file: { ...text, format: 'binary' }, note: text }),
      [{ protocol: 'image', input: 'file' }],
    ],
    [
      'a file of a form as FastAPI writes it for 3.1',
      form({ file: { ...text, contentMediaType: 'application/octet-stream', format: 'binary' } }),
      [{ protocol: 'image', input: 'file' }],
    ],
    [
      'two files',
      form({ a: { ...text, format: 'binary' }, b: { ...text, format: 'binary' } }),
      [{ protocol: 'image' }],
    ],
    [
      'files in a list',
      form({ files: { type: 'array', items: { ...text, format: 'binary' } } }),
      [{ protocol: 'image', input: 'files' }],
    ],
    [
      'base64 in JSON',
      json({ type: 'object', properties: { data: { ...text, contentEncoding: 'base64' }, top: { type: 'integer' } } }),
      [{ protocol: 'image', input: 'data' }],
    ],
    [
      'a text whose name says so, or null',
      json({ type: 'object', properties: { image: { anyOf: [text, { type: 'null' }] } } }),
      [{ protocol: 'image', input: 'image' }],
    ],
    ['a text of which nothing is said', json({ type: 'object', properties: { prompt: text } }), []],
    ['numbers that could be pixels', json({ type: 'array', items: { type: 'array', items: { type: 'number' } } }), []],
    ['any object', json({ type: 'object' }), []],
    ['a body that nobody describes', json({}), []],
    ['a body in XML', { requestBody: { content: { 'text/xml': {} } } }, []],
    ['no body', {}, [{ protocol: 'pass' }]],
    [
      'numbers, choices and switches',
      json({
        type: 'object',
        properties: { top: { type: 'integer' }, unit: { enum: ['C', 'F'], type: 'string' }, on: { type: 'boolean' } },
      }),
      [{ protocol: 'pass' }],
    ],
  ])('%s', (_, operation, expected) => {
    expect(propose(operation)).toEqual(expected.map((route) => ({ path: '/classify/*', ...route })));
  });

  it('follows references, of a body too, and ends where they go round', () => {
    const components = {
      schemas: {
        Image: { type: 'object', properties: { b64: text, next: { $ref: '#/components/schemas/Image' } } },
        'a/b': { $ref: '#/components/schemas/Image' },
      },
      requestBodies: { Body: json({ allOf: [{ $ref: '#/components/schemas/a~1b' }] }).requestBody },
    };
    expect(propose({ requestBody: { $ref: '#/components/requestBodies/Body' } }, { components })).toEqual([
      { path: '/classify/*', protocol: 'image', input: 'b64' },
    ]);
    const round = { schemas: { A: { $ref: '#/components/schemas/A' } } };
    expect(propose(json({ $ref: '#/components/schemas/A' }), { components: round })).toEqual([]);
  });

  it('reads 2.0, puts the path of the server before, and leaves out what is known', () => {
    const photo = { parameters: [{ in: 'formData', name: 'photo', type: 'file' }] };
    expect(propose(photo, { swagger: '2.0', basePath: '/api/' })).toEqual([
      { path: '/api/classify/*', protocol: 'image', input: 'photo' },
    ]);
    const servers = [{ url: 'https://models.example/v3' }];
    expect(propose({}, { servers }, '/reload')).toEqual([{ path: '/v3/reload', protocol: 'pass' }]);
    expect(propose(json({}), {}, '/v2/models/{name}/infer')).toEqual([]);
    expect(propose({}, {}, '/v2/repository/index')).toEqual([]);
  });

  it('lets a path pass only if no method of it can carry an image', () => {
    const image = { requestBody: { content: { 'image/png': {} } } };
    const ask = (item: object) => proposeRoutes({ paths: { '/x': item } }).map(({ route }) => route.protocol);
    expect(ask({ post: {}, put: image })).toEqual(['image']);
    expect(ask({ post: {}, put: json({}) })).toEqual([]);
    expect(ask({ post: {}, put: {} })).toEqual(['pass']);
    expect(ask({ get: {} })).toEqual([]);
  });

  it('says what is no such document', () => {
    for (const other of [undefined, 7, [], {}, { paths: [] }, { paths: null }]) {
      expect(() => proposeRoutes(other)).toThrow(/Expected an OpenAPI document/);
    }
  });
});
