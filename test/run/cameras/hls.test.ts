import { describe, expect, it } from 'vitest';
import { parsePlaylist } from '../../../src/run/cameras/hls.ts';

const url = 'http://camera/live/index.m3u8';

describe('parsePlaylist', () => {
  it('lists the segments of a live stream with their numbers', () => {
    const text = `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:70\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:4.0,\na.m4s\r\n#EXTINF:4.0,\n/b.m4s\n`;
    expect(parsePlaylist(text, url)).toEqual({
      segments: [
        { sequence: 70, uri: 'http://camera/live/a.m4s' },
        { sequence: 71, uri: 'http://camera/b.m4s' },
      ],
      map: 'http://camera/live/init.mp4',
      targetMs: 4000,
      isOver: false,
    });
  });

  it('chooses the best of the variants', () => {
    const text = `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\nlow.m3u8\n#EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=1,BANDWIDTH=900\nhigh.m3u8\n`;
    expect(parsePlaylist(text, url)).toMatchObject({ variant: 'http://camera/live/high.m3u8' });
  });

  it.each([
    ['http://elsewhere/a.ts', /another host/],
    ['file:///etc/passwd', /another host/],
    ['//169.254.169.254/a.ts', /another host/],
  ])('refuses %s', (uri, why) => {
    expect(() => parsePlaylist(`#EXTM3U\n#EXTINF:1,\n${uri}\n`, url)).toThrow(why);
  });

  it('refuses what is encrypted, and what is over and lists nothing', () => {
    expect(() => parsePlaylist('#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n', url)).toThrow(/encrypted/);
    expect(() => parsePlaylist('#EXTM3U\n#EXT-X-ENDLIST\n', url)).toThrow(/lists nothing/);
    expect(parsePlaylist('#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n', url).segments).toEqual([]);
  });
});
