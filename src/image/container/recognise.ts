/** What starts a file of a type that is known but not accepted: `[name, offset, text]`. The first that fits is told. */
const magics: ReadonlyArray<readonly [name: string, offset: number, magic: string]> = [
  ['Stopline Profile: give it to --profile', 8, '{"__metadata__":{"format":"stopline-profile"'],
  ['safetensors', 8, '{"'],
  ['GIF', 0, 'GIF8'],
  ['camera raw (CR2)', 8, 'CR\x02\0'],
  ['camera raw (RAF)', 0, 'FUJIFILMCCD-RAW'],
  ['camera raw (ORF)', 0, 'IIRO'],
  ['camera raw (RW2)', 0, 'IIU\0'],
  ['camera raw (CR3)', 4, 'ftypcrx'],
  ['TIFF', 0, 'II*\0'],
  ['TIFF', 0, 'MM\0*'],
  ['BigTIFF', 0, 'II+\0'],
  ['BigTIFF', 0, 'MM\0+'],
  ['JPEG XR', 0, 'II\xbc'],
  ['BMP', 0, 'BM'],
  ['PDF', 0, '%PDF'],
  ['PostScript', 0, '%!PS'],
  ['AVIF', 4, 'ftypavi'],
  ['HEIC', 4, 'ftyphei'],
  ['HEIC', 4, 'ftyphev'],
  ['HEIF', 4, 'ftypmif1'],
  ['HEIF', 4, 'ftypmsf1'],
  ['QuickTime video', 4, 'ftypqt'],
  ['QuickTime video', 4, 'moov'],
  ['QuickTime video', 4, 'mdat'],
  ['MP4 video', 4, 'ftyp'],
  ['Matroska or WebM video', 0, '\x1a\x45\xdf\xa3'],
  ['MPEG video', 0, '\0\0\x01\xba'],
  ['MPEG video', 0, '\0\0\x01\xb3'],
  ['H.264 video', 0, '\0\0\0\x01'],
  ['Flash video', 0, 'FLV\x01'],
  ['Windows Media', 0, '\x30\x26\xb2\x75\x8e\x66\xcf\x11'],
  ['Ogg', 0, 'OggS'],
  ['MP3', 0, 'ID3'],
  ['FLAC', 0, 'fLaC'],
  ['AVI video', 8, 'AVI '],
  ['WAV', 8, 'WAVE'],
  ['RIFF file', 0, 'RIFF'],
  ['JPEG XL', 0, '\xff\x0a'],
  ['JPEG XL', 4, 'JXL '],
  ['JPEG 2000', 4, 'jP  '],
  ['JPEG 2000', 0, '\xff\x4f\xff\x51'],
  ['Photoshop', 0, '8BPS'],
  ['icon', 0, '\0\0\x01\0'],
  ['cursor', 0, '\0\0\x02\0'],
  ['OpenEXR', 0, '\x76\x2f\x31\x01'],
  ['Radiance HDR', 0, '#?RADIANCE'],
  ['QOI', 0, 'qoif'],
  ['DDS', 0, 'DDS '],
  ['KTX', 0, '\xabKTX'],
  ['FITS', 0, 'SIMPLE  ='],
  ['DICOM', 128, 'DICM'],
  ['DjVu', 0, 'AT&TFORM'],
  ['NumPy array', 0, '\x93NUMPY'],
  ['HDF5', 0, '\x89HDF'],
  ['Parquet', 0, 'PAR1'],
  ['Arrow', 0, 'ARROW1'],
  ['SQLite database', 0, 'SQLite format 3'],
  ['Python pickle', 0, '\x80\x04\x95'],
  ['ZIP archive', 0, 'PK\x03\x04'],
  ['empty ZIP archive', 0, 'PK\x05\x06'],
  ['gzip archive', 0, '\x1f\x8b'],
  ['bzip2 archive', 0, 'BZh'],
  ['xz archive', 0, '\xfd7zXZ\0'],
  ['Zstandard archive', 0, '\x28\xb5\x2f\xfd'],
  ['7-Zip archive', 0, '7z\xbc\xaf\x27\x1c'],
  ['RAR archive', 0, 'Rar!\x1a\x07'],
  ['tar archive', 257, 'ustar'],
  ['Office document', 0, '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'],
  ['AppleDouble file, which a Mac puts beside the image', 0, '\0\x05\x16\x07'],
  ['.DS_Store of a Mac', 4, 'Bud1'],
  ['property list', 0, 'bplist'],
  ['ELF program', 0, '\x7fELF'],
  ['WebAssembly', 0, '\0asm'],
  ['Windows program', 0, 'MZ'],
  ['PNG with a damaged signature', 1, 'PNG'],
  ['JPEG with a damaged start', 0, '\xff\xd8'],
];

/** What starts an image that is accepted. */
const accepted: typeof magics = [
  ['JPEG', 0, '\xff\xd8\xff'],
  ['PNG', 0, '\x89PNG'],
  ['WebP', 8, 'WEBP'],
];

/** What a text begins with, in lower case and without the space ahead. The first that fits is told. */
const texts: ReadonlyArray<readonly [name: string, pattern: RegExp]> = [
  ['Git LFS pointer: the file itself was not fetched (git lfs pull)', /^version https:\/\/git-lfs/],
  [
    'git-annex pointer: the file itself was not fetched (git annex get)',
    /^\/?(\.\.?\/)*(\.git\/annex|annex)\/objects\//,
  ],
  ['DVC pointer: the file itself was not fetched (dvc pull)', /^(outs:|md5: [0-9a-f]{32})/],
  ['SVG', /<svg/],
  ['HTML', /<html|<!doctype html/],
  ['XML', /^<\?xml|^<error>/],
  ['data URL: send the bytes that it stands for', /^data:image\//],
  ['image in base64: send the bytes that it stands for', /^(\/9j\/|ivborw0kggo|uklgr)/],
  ['netpbm image', /^p[1-7]\s+(#.*\s+)?\d+\s/],
  ['URL: send what lies there', /^(https?|s3|gs|file):\/\/\S+\s*$/],
  ['JSON', /^[[{]/],
];

const looked = 1024;

/** Names bytes that are no JPEG, PNG or WebP, as well as can be told from their start. */
export function recognise(bytes: Uint8Array): string {
  const count = `(${bytes.length} bytes)`;
  const start = bytes.subarray(0, looked);
  if (start.every((byte) => byte === start[0])) {
    const isAll = bytes.every((byte) => byte === start[0]);
    if (isAll) return `nothing but bytes of ${start[0]} ${count}`;
  }
  const other = magics.find(([, offset, magic]) => hasMagic(bytes, offset, magic));
  if (other !== undefined) return `${other[0]} ${count}`;
  if (bytes.length > 376 && [0, 188, 376].every((at) => bytes[at] === 0x47)) return `MPEG transport stream ${count}`;
  const text = readText(start);
  const known = text === undefined ? undefined : texts.find(([, pattern]) => pattern.test(text));
  if (known !== undefined) return `${known[0]} ${count}`;
  if (text !== undefined) return `text ${count}`;
  return `${bytes.length} bytes of an unknown type`;
}

/** Names any bytes, also those of the three types that are accepted as images. */
export function recogniseAny(bytes: Uint8Array): string {
  const image = accepted.find(([, offset, magic]) => hasMagic(bytes, offset, magic));
  return image ? `${image[0]} image (${bytes.length} bytes)` : recognise(bytes);
}

/** The start of a text in UTF-8 or UTF-16; undefined for bytes that are none. */
function readText(start: Uint8Array): string | undefined {
  const isLittle = start[0] === 0xff && start[1] === 0xfe;
  const isBig = start[0] === 0xfe && start[1] === 0xff;
  const encoding = isLittle ? 'utf-16le' : isBig ? 'utf-16be' : 'utf-8';
  // A character may be cut in two at the end of what is looked at.
  const text = new TextDecoder(encoding).decode(start).replace(/\ufffd{1,3}$/, '');
  const isText = !/(?!\s)\p{Cc}|\ufffd/u.test(text);
  return isText ? text.trimStart().toLowerCase() : undefined;
}

export function hasMagic(bytes: Uint8Array, offset: number, magic: string): boolean {
  if (bytes.length < offset + magic.length) return false;
  for (let i = 0; i < magic.length; i++) if (bytes[offset + i] !== magic.charCodeAt(i)) return false;
  return true;
}
