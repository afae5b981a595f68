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
      meaning: 'Bytes of the file for each pixel, metadata included.',
      high: 'a larger file for its size than',
      low: 'a smaller file for its size than',
      bad: 'low',
      logFloor: 0.01,
      scored: false,
      digits: 3,
      source: 'file size / pixels',
    },
    {
      name: 'codedBytesPerPixel',
      unit: 'bytes',
      group: 'container',
      meaning: 'Bytes of coded picture data for each pixel; metadata and tables do not count.',
      high: 'less compressed than',
      low: 'more compressed than',
      bad: 'low',
      logFloor: 0.01,
      scored: true,
      digits: 3,
      source: 'bytes of scans, IDAT or VP8 chunks / pixels',
    },
  ],
  derive(_out, source) {
    const coded = source ? source.codedBytes / (source.width * source.height) : Number.NaN;
    return [source?.jpeg?.quality ?? Number.NaN, source?.bytesPerPixel ?? Number.NaN, coded];
  },
};
