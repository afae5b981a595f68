import type { StatisticTable } from './statistic.ts';

/** What the encoder left in the headers; NaN for a frame without a container. */
export const container: StatisticTable = {
  rows: [
    {
      name: 'jpegQuality',
      unit: '1-100',
      group: 'container',
      meaning: 'Quality setting of the JPEG encoder, from its quantisation tables.',
      high: 'saved at higher quality than',
      low: 'saved at lower quality than',
      bad: 'low',
      scored: true,
      digits: 0,
      source: 'libjpeg jcparam.c, scaling inverted',
    },
    {
      name: 'bytesPerPixel',
      unit: 'bytes',
      group: 'container',
      meaning: 'Encoded bytes for each pixel.',
      high: 'less compressed than',
      low: 'more compressed than',
      bad: 'low',
      logFloor: 0.01,
      scored: true,
      digits: 3,
      source: 'file size / pixels',
    },
  ],
  derive(_out, source) {
    return [source?.jpeg?.quality ?? Number.NaN, source?.bytesPerPixel ?? Number.NaN];
  },
};
