import { placeText } from '../../bodies/encodedtext.ts';
import { looksLikeImage } from '../../bodies/magic.ts';
import type { WireField, WireReader } from '../../bodies/protobuf.ts';
import { nextTurn } from '../../bodies/turns.ts';
import { isPlainText, type Search, smallestImage } from '../search.ts';

/** Fields that are read or looked at in one go. */
const stepsInTurn = 4000;
/** Fewer bytes than this are no image of any format. */
const fewestBytes = 24;

/**
 * Looks for images in a message of which nobody has said what it holds: in every text and every bytes of it, and in the
 * messages in it. A route's `input` is the way to a field by numbers, such as `1` or `2.1`.
 */
export class MessageSearch {
  readonly #search: Search;
  readonly #reader: WireReader;
  /** What has been read, and looked at, when others last had the processor. */
  #before = 0;
  #steps = 0;
  /** Bytes of numbers, and of small pieces that mean nothing by themselves. */
  #loose = 0;

  constructor(search: Search, reader: WireReader) {
    this.#search = search;
    this.#reader = reader;
  }

  /** @throws {StoplineError} REQUEST_TOO_LARGE */
  async lookInto(fields: readonly WireField[], path = '', depth = 0): Promise<void> {
    const before = this.#loose;
    for (const { number, type, content } of fields) {
      this.#steps += 1;
      if (this.#reader.tried + this.#steps - this.#before > stepsInTurn) {
        this.#before = this.#reader.tried + this.#steps;
        await nextTurn();
      }
      const at = path === '' ? String(number) : `${path}.${number}`;
      if (type === 2) await this.#lookIntoContent(content, at, depth);
      else this.#loose += content.length;
    }
    if (depth === 0 && this.#loose - before >= smallestImage && this.#search.where.input === undefined) {
      this.#search.leave(`${this.#loose} bytes of numbers stand in the message, and nothing says what they are`);
    }
  }

  async #lookIntoContent(content: Buffer, path: string, depth: number): Promise<void> {
    const search = this.#search;
    const { input } = search.where;
    if (input === path) return this.#lookIntoNamed(content, path);
    if (content.length < fewestBytes) {
      this.#loose += content.length;
      return;
    }
    const isWanted = input === undefined;
    if (isWanted && looksLikeImage(content)) return search.add(content);
    const inner = this.#reader.tryList(content, depth);
    if (inner) await this.lookInto(inner, path, depth + 1);
    if (!isWanted || inner) return;
    await search.lookIntoText(placeText(content), `the field ${path}`, false);
    if (isPlainText(content)) return;
    if (content.length >= smallestImage) search.leave(`the field ${path} holds bytes of no known kind`);
    else this.#loose += content.length;
  }

  async #lookIntoNamed(content: Buffer, path: string): Promise<void> {
    if (looksLikeImage(content) || !isPlainText(content)) return this.#search.add(content);
    await this.#search.lookIntoText(placeText(content), `the field ${path}`, true);
  }
}
