import type { Remark } from './remark.ts';

/** What the encoded bytes say before anything is decoded. */
export interface Container {
  format: 'jpeg' | 'png' | 'webp';
  /** Stored size in pixels, before EXIF orientation. */
  width: number;
  height: number;
  bitDepth: number;
  /** Stored channels including alpha (palette PNG: 3, or 4 with tRNS). */
  channels: number;
  colour: 'grey' | 'rgb' | 'palette' | 'ycbcr' | 'cmyk' | 'ycck';
  hasAlpha: boolean;
  /** Progressive JPEG or interlaced PNG. */
  progressive: boolean;
  /** Frames of an animation; 1 for a still image. */
  frames: number;
  /** JPEG scans; 1 elsewhere. */
  scans: number;
  /** EXIF orientation, 1 to 8; 1 when there is none. */
  orientation: number;
  /** Bytes after the end of the image. */
  trailingBytes: number;
  bytes: number;
  bytesPerPixel: number;
  /** Bytes of coded picture data: without metadata, tables and markers between them. */
  codedBytes: number;
  /** Hex hash of what reaches the pixels: process, precision, sampling, quantisation tables. Names an encoder's setting. */
  fingerprint: string;
  /** How the picture is wrapped, in words: metadata, order of segments, Huffman tables. None of it reaches the pixels. */
  wrapping: string[];
  /** Oddities that lose no pixel. */
  remarks: Remark[];
  /** Only for JPEG. */
  jpeg?: {
    /** Quantisation tables by id, 64 entries each in natural (row-major) order. */
    tables: number[][];
    /** libjpeg quality 1 to 100 implied by the tables: exact for IJG tables, else least squares. */
    quality: number;
    standardTables: boolean;
    /** '4:4:4', '4:2:2', '4:2:0', '4:4:0', '4:1:1', 'grey', or the sampling factors as text. */
    chromaSubsampling: string;
    arithmetic: boolean;
  };
}
