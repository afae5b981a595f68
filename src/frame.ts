export { type ErrorCode, StoplineError } from './errors.ts';
export type { Frame, Limits } from './image/frame.ts';
export type { Tiles } from './image/tiles.ts';
export { createFrameJudge, type FrameJudge, type FrameJudgeOptions, type Pixels } from './profile/framejudge.ts';
export type { Verdict } from './profile/verdict.ts';
