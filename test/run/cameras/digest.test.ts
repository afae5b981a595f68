import { describe, expect, it } from 'vitest';
import { answerChallenge } from '../../../src/run/cameras/digest.ts';

// RFC 7616, section 3.9.1.
const login = { user: 'Mufasa', password: 'Circle of Life' };
const request = {
  method: 'GET',
  path: '/dir/index.html',
  count: 1,
  nonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
};
const challenge = (algorithm: string) =>
  `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`;

describe('answerChallenge', () => {
  it.each([
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ])('answers as the standard does with %s', (algorithm, response) => {
    expect(answerChallenge(challenge(algorithm), login, request)).toContain(`response="${response}"`);
  });

  it('takes the strongest that is offered, in one header or in several', () => {
    const both = [`${challenge('MD5')}, Basic realm="x"`, challenge('SHA-256')];
    expect(answerChallenge(both, login, request)).toContain('algorithm=SHA-256');
    expect(answerChallenge(`Basic realm="x, y", ${challenge('MD5')}`, login, request)).toMatch(
      /^Digest .*algorithm=MD5/,
    );
  });

  it('answers an old camera without qop, as RFC 2069 has it', () => {
    // RFC 2617, section 3.2.2.1, without qop: MD5(MD5(A1):nonce:MD5(A2)), from the values that RFC gives for A1 and A2.
    const old = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"';
    const answered = answerChallenge(old, { user: 'Mufasa', password: 'Circle Of Life' }, request);
    expect(answered).toContain('response="670fd8c2df070c60b045671b8b24ff02"');
    expect(answered).not.toMatch(/qop|nc=|cnonce|algorithm/);
  });

  it('sends the password itself only where nothing else is offered', () => {
    expect(answerChallenge('Basic realm="camera"', login, request)).toBe('Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl');
    expect(answerChallenge('Bearer', login, request)).toBeUndefined();
    expect(answerChallenge('Digest realm="x", nonce="y", algorithm=SHA-512-256', login, request)).toBeUndefined();
  });
});
