import { describe, expect, it } from 'vitest';
import { nameCamera, readCamera } from '../../../src/run/cameras/address.ts';

describe('readCamera', () => {
  it('tells what a camera is by its address, and takes user and password out of it', () => {
    const camera = readCamera('rtsp://view%40er:ge%3Aheim@10.0.0.4:8554/h264?channel=1');
    expect(camera).toMatchObject({
      kind: 'rtsp',
      target: 'rtsp://10.0.0.4:8554/h264?channel=1',
      login: { user: 'view@er', password: 'ge:heim' },
      shown: 'rtsp://10.0.0.4:8554',
    });
    expect(readCamera('https://[::1]/snap.jpg')).toMatchObject({ kind: 'http', shown: 'https://[::1]' });
    expect(readCamera('HTTP://Front/snap.jpg#top')).toMatchObject({ kind: 'http', target: 'http://front/snap.jpg' });
    expect(readCamera('/dev/video0')).toMatchObject({ kind: 'device', target: '/dev/video0' });
    expect(readCamera('clips/day one.mp4').kind).toBe('files');
    expect(readCamera('C:\\clips\\a.mp4').kind).toBe('files');
  });

  it.each([
    'rtsp://view:geheim@',
    'rtmp://view:geheim@host/live',
    'file:///geheim',
    'http://view:gehe#im@host/x',
    'http://view:geheim@ho st/x',
    'concat:rtsp://geheim|x',
    '',
  ])('refuses %s, without a word of it beyond the protocol', (address) => {
    let message = '';
    try {
      message = readCamera(address).kind === 'files' ? 'a path' : '';
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/^(Expected a camera as rtsp:.*but received|a path)/);
    expect(message).not.toContain('gehe');
  });

  it('takes what is secret out of what others say of it', () => {
    const camera = readCamera('rtsp://viewer:g%20eheim@10.0.0.4/user=admin&password=xyzzy');
    const said = [
      "[concat] Impossible to open 'rtsp://viewer:g%20eheim@10.0.0.4/user=admin&password=xyzzy'",
      'Connection to tcp://10.0.0.4:554?timeout=0 failed for viewer with g eheim at /user=admin&password=xyzzy',
      'redirected to http://elsewhere/?token=abcdef',
    ].map((text) => camera.hide(text));
    expect(said).toEqual([
      "[concat] Impossible to open 'rtsp://10.0.0.4'",
      'Connection to tcp://10.0.0.4 failed for *** with *** at ***',
      'redirected to http://***',
    ]);
  });
});

describe('nameCamera', () => {
  it.each([
    ['rtsp://a:b@10.0.0.4/x', '10.0.0.4'],
    ['http://front-door.lan/snap.jpg', 'front-door.lan'],
    ['/dev/video0', 'video0'],
    ['clips/day one.mp4', 'day-one'],
    ['./.mp4', 'camera'],
  ])('%s is %s', (address, name) => expect(nameCamera(readCamera(address))).toBe(name));
});
