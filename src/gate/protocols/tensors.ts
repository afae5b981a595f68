import type { Frame } from '../../image/frame.ts';
import { placeText, sniffText, type TextPlace } from '../bodies/encodedtext.ts';
import { looksLikeImage } from '../bodies/magic.ts';
import { describeName, foldCase, quoteWord } from '../bodies/names.ts';
import { isPlainText, readBytes, Search, smallestImage } from './search.ts';
import {
  BinaryNumbers,
  boundedImages,
  elementBytes,
  invalid,
  isNumeric,
  makeFrames,
  type NumberSource,
  readSizes,
  sliceFrames,
  uninspected,
} from './tensor.ts';

/** One input of a request to a model, however it is written. Datatypes are named as the Open Inference Protocol does. */
export interface TensorInput {
  name: string;
  datatype: string;
  shape: readonly number[];
  /** Its bytes, where they come as they are in memory: little-endian, BYTES with their lengths in front. */
  binary?: Buffer | undefined;
  /** It is in memory that client and server share. */
  isElsewhere: boolean;
  /** The elements of a tensor of BYTES that came as such. */
  elements?(): readonly Buffer[];
  /** The elements of a tensor of BYTES that came as texts in base64. @throws {StoplineError} REQUEST_INVALID */
  texts?(): readonly TextPlace[];
  /** Its numbers from the beginning. @throws {StoplineError} REQUEST_INVALID */
  numbers?(): Promise<CountedNumbers> | CountedNumbers;
}

export interface CountedNumbers {
  source: NumberSource;
  length: number;
}

/** Most elements of a tensor of texts: each has a length of its own. */
const maxElements = 10_000;

/**
 * Looks for the images of all inputs that the route wants.
 * @returns the last input that holds some
 * @throws {StoplineError} UNINSPECTED, REQUEST_INVALID, REQUEST_TOO_LARGE
 */
export async function lookIntoInputs<Input extends TensorInput>(
  search: Search,
  inputs: readonly Input[],
): Promise<Input | undefined> {
  const { input: named } = search.where;
  if (new Set(inputs.map(({ name }) => foldCase(name))).size < inputs.length) {
    search.doubt(invalid('every input under a name of its own', 'one name twice'));
  }
  const wanted = inputs.filter(({ name }) => search.wants(name));
  if (named !== undefined && wanted.length === 0) {
    throw uninspected(`there is no input "${named}" among ${describeInputs(inputs)}`);
  }
  let image: Input | undefined;
  for (const input of wanted) {
    const images = await readImages(search, input, named !== undefined);
    search.add(...images);
    if (images.length > 0) image = input;
  }
  if (search.images.length === 0) {
    // Nothing looks like an image, so what could hold one has to.
    for (const input of wanted.filter(({ datatype }) => datatype === 'BYTES')) {
      search.add(...(await readImages(search, input, true)));
      image = input;
    }
  }
  if (search.images.length === 0) {
    search.leave(
      `the inputs are ${describeInputs(inputs)}; a UINT8 tensor of images or BYTES are inspected, other numbers where the route has "tensor"`,
    );
  }
  return image;
}

function describeInputs(inputs: readonly TensorInput[]): string {
  const all = inputs
    .map(({ name, datatype, shape }) => `${quoteWord(name)} of ${quoteWord(datatype)} ${shape.join('x')}`)
    .join(', ');
  return all.slice(0, 300);
}

/** The images of one input. @param isImage whether it has to hold some; otherwise what is none is left out */
async function readImages(search: Search, input: TensorInput, isImage: boolean): Promise<(Uint8Array | Frame)[]> {
  const { name, datatype, shape, binary } = input;
  const count = shape.reduce((product, side) => product * side, 1);
  if (input.isElsewhere) {
    search.leave(`${describeName('input', name)} is in shared memory`);
    return [];
  }
  if (datatype === 'BYTES') return readElements(search, input, { count, isImage });
  const { tensor } = search.where;
  const sizes = readSizes(shape, tensor);
  const isUndone = datatype !== 'UINT8' && isNumeric(datatype) && tensor !== undefined;
  if (sizes && (datatype === 'UINT8' || isUndone)) {
    boundedImages(sizes.images);
    if (binary && datatype === 'UINT8' && sizes.layout === 'NHWC' && tensor?.order !== 'BGR') {
      return sliceFrames(binary, sizes);
    }
    const { source, length } = await readNumbers(input);
    return makeFrames(source, length, sizes, tensor, isUndone);
  }
  if (datatype === 'UINT8' && shape.length <= 2 && count >= 16) {
    const { source, length } = await readNumbers(input);
    const bytes = binary ?? (await readBytes(source, length));
    if (looksLikeImage(bytes)) return [bytes];
  }
  if (isImage || count >= smallestImage) {
    const why = isNumeric(datatype) ? ' and the route has no "tensor" to undo its preprocessing' : '';
    search.leave(`${describeName('input', name)} is ${quoteWord(datatype)} ${shape.join('x')}${why}`);
  }
  return [];
}

async function readNumbers(input: TensorInput): Promise<CountedNumbers> {
  const { binary, datatype, name } = input;
  if (binary) {
    const source = new BinaryNumbers(binary, datatype);
    return { source, length: binary.length / elementBytes[datatype] };
  }
  if (!input.numbers) throw invalid(`numbers as the data of ${describeName('input', name)}`);
  return input.numbers();
}

/** The elements of a tensor of BYTES that are images. */
async function readElements(
  search: Search,
  input: TensorInput,
  { count, isImage }: { count: number; isImage: boolean },
): Promise<Uint8Array[]> {
  const { name, binary } = input;
  if (isImage || count > maxElements) boundedImages(count);
  const elements = binary ? splitBytes(binary) : input.elements?.();
  const places = elements?.map(placeText) ?? input.texts?.() ?? [];
  if (places.length !== count)
    throw invalid(`${count} elements in ${describeName('input', name)}`, String(places.length));
  const found = new Search({});
  for (const [i, place] of places.entries()) {
    const element = elements?.[i];
    if (!element) await found.lookIntoText(place, describeName('input', name), isImage);
    else if (looksLikeImage(element)) found.add(element);
    else if ((await sniffText(place)) === 'image' || !isImage) {
      // A server may take base64 in place of the bytes.
      await found.lookIntoText(place, describeName('input', name), false);
      if (element.length >= smallestImage && !isPlainText(element)) {
        found.leave(`${describeName('input', name)} holds bytes of no known kind`);
      }
    } else found.add(element);
  }
  search.take(found);
  return found.images as Uint8Array[];
}

/** Elements of a binary BYTES tensor: each its length in four bytes, little-endian, and then itself. */
export function splitBytes(binary: Buffer): Buffer[] {
  const elements: Buffer[] = [];
  let at = 0;
  while (at < binary.length) {
    if (elements.length === maxElements) throw invalid(`at most ${maxElements} elements of BYTES`, 'more');
    const end = at + 4 <= binary.length ? at + 4 + binary.readUInt32LE(at) : Number.POSITIVE_INFINITY;
    if (end > binary.length) throw invalid('elements of BYTES that end within the tensor', 'one that does not');
    elements.push(binary.subarray(at + 4, end));
    at = end;
  }
  return elements;
}
