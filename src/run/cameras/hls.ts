import { setTimeout as delay } from 'node:timers/promises';
import { StoplineError } from '../../errors.ts';
import type { CameraOptions } from './cameraimage.ts';
import { type HttpCamera, readWhole } from './client.ts';

const maxPlaylist = 1024 * 1024;
/** Segments at the end of a playlist that is met for the first time: the older ones are past. */
const latestSegments = 2;
const shortestWaitMs = 500;

interface Playlist {
  /** The least of the variants, where it lists variants and no segments. */
  variant?: string;
  segments: { sequence: number; uri: string }[];
  /** What each segment needs in front of it, where they are fragments of MP4. */
  map?: string;
  targetMs: number;
  isOver: boolean;
}

/**
 * The bytes of an HTTP live stream (RFC 8216), segment after segment as they are added. Segments come from the host of the
 * playlist alone.
 * @throws {StoplineError} CAMERA_UNREACHABLE where it is encrypted, or lists nothing
 */
export async function* readSegments(
  camera: HttpCamera,
  { url, body }: { url: string; body: AsyncIterable<Buffer> },
  { maxBytes, signal }: Pick<CameraOptions, 'maxBytes' | 'signal'>,
): AsyncGenerator<Uint8Array> {
  let playlist = parsePlaylist(await readText(body), url);
  let address = url;
  if (playlist.variant !== undefined) {
    address = playlist.variant;
    playlist = await fetchPlaylist(camera, address);
  }
  let next = (playlist.segments.at(-latestSegments) ?? playlist.segments[0])?.sequence ?? 0;
  let map: string | undefined;
  for (;;) {
    const added = playlist.segments.filter(({ sequence }) => sequence >= next);
    for (const { sequence, uri } of added) {
      if (playlist.map !== undefined && playlist.map !== map) yield await fetchPart(camera, playlist.map, maxBytes);
      map = playlist.map;
      yield await fetchPart(camera, uri, maxBytes);
      next = sequence + 1;
    }
    if (playlist.isOver) return;
    // By the standard: the length of a segment, or half of it where nothing was new.
    const waitMs = added.length > 0 ? playlist.targetMs : playlist.targetMs / 2;
    await delay(Math.max(shortestWaitMs, waitMs), undefined, { signal });
    playlist = await fetchPlaylist(camera, address);
    // A server that started again counts from the beginning.
    const last = playlist.segments.at(-1)?.sequence ?? next;
    if (last < next - 1) next = playlist.segments.at(-latestSegments)?.sequence ?? playlist.segments[0].sequence;
  }
}

async function fetchPlaylist(camera: HttpCamera, address: string): Promise<Playlist> {
  const { url, body } = await camera.get(address);
  return parsePlaylist(await readText(body), url);
}

async function fetchPart(camera: HttpCamera, uri: string, maxBytes: number): Promise<Uint8Array> {
  return readWhole((await camera.get(uri)).body, maxBytes);
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  return Buffer.from(await readWhole(body, maxPlaylist)).toString('utf8');
}

/** @param url that relative addresses in it are relative to @throws {StoplineError} CAMERA_UNREACHABLE */
export function parsePlaylist(text: string, url: string): Playlist {
  const { host } = new URL(url);
  const locate = (uri: string) => {
    const found = URL.canParse(uri, url) ? new URL(uri, url) : undefined;
    if (found?.host !== host || !/^https?:$/.test(found.protocol)) throw refuse('it lists parts on another host');
    return found.href;
  };
  const playlist: Playlist = { segments: [], targetMs: 2000, isOver: false };
  const variants: { uri: string; bandwidth: number }[] = [];
  let sequence = 0;
  let bandwidth: number | undefined;
  for (const line of text.split(/\r?\n/)) {
    const value = line.slice(line.indexOf(':') + 1);
    if (line.startsWith('#EXT-X-STREAM-INF:')) bandwidth = Number(/[:,]BANDWIDTH=(\d+)/.exec(line)?.[1] ?? 0);
    else if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) sequence = Number(value) || 0;
    else if (line.startsWith('#EXT-X-TARGETDURATION:')) playlist.targetMs = Math.min(60, Number(value) || 2) * 1000;
    else if (line.startsWith('#EXT-X-ENDLIST')) playlist.isOver = true;
    else if (line.startsWith('#EXT-X-MAP:')) playlist.map = locate(/URI="([^"]*)"/.exec(line)?.[1] ?? '');
    else if (line.startsWith('#EXT-X-KEY:') && !/METHOD=NONE/.test(line)) throw refuse('it is encrypted');
    else if (line !== '' && !line.startsWith('#')) {
      if (bandwidth === undefined) playlist.segments.push({ sequence: sequence++, uri: locate(line.trim()) });
      else variants.push({ uri: locate(line.trim()), bandwidth });
      bandwidth = undefined;
    }
  }
  const best = variants.sort((a, b) => b.bandwidth - a.bandwidth)[0];
  if (best) playlist.variant = best.uri;
  else if (playlist.segments.length === 0 && playlist.isOver) throw refuse('it lists nothing');
  return playlist;
}

function refuse(why: string): StoplineError {
  return new StoplineError('CAMERA_UNREACHABLE', `Expected a live stream but cannot read its playlist: ${why}.`);
}
