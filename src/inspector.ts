import type { Frame } from './decode.ts';
import type { Profile } from './profile.ts';
import type { Verdict } from './verdict.ts';

export interface Inspector {
  readonly profile: Profile;
  /** @throws {StoplineError} IMAGE_* when the bytes are not an image that can be judged */
  inspect(bytes: Uint8Array): Promise<Verdict>;
  /** For callers who have already decoded. @throws {StoplineError} FRAME_INVALID */
  inspectFrame(frame: Frame): Verdict;
}

export declare function createInspector(options: { profile: Profile | string }): Promise<Inspector>;
