import { expect, it } from 'vitest';
import { hidePaths } from '../../../src/server/http/paths.ts';

it.each([
  [
    'Expected a Profile at "/etc/stopline/front.stopline" but ENOENT.',
    'Expected a Profile at a file of the service but ENOENT.',
  ],
  ['Expected a Profile at "front.stopline" but ENOENT.', 'Expected a Profile at a file of the service but ENOENT.'],
  [
    "The quarantine cannot be read: ENOENT: no such file, open '/var/q/a b/1.json'.",
    'The quarantine cannot be read: ENOENT: no such file, open a file of the service.',
  ],
  ['/srv/models/net.onnx is damaged', 'a file of the service is damaged'],
  ['Expected C:\\models\\net.onnx to be there.', 'Expected a file of the service to be there.'],
  ['Expected at most 1/2 of 30 images/s but received "4".', 'Expected at most 1/2 of 30 images/s but received "4".'],
  [
    'Expected the upstream http://127.0.0.1:80/v1 to answer.',
    'Expected the upstream http://127.0.0.1:80/v1 to answer.',
  ],
])('%s', (message, told) => {
  expect(hidePaths(message)).toBe(told);
});
