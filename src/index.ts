export type { Core, CoreInfo } from './core/core.ts';
export { createDrift, type Drift, type DriftOptions } from './drift/drift.ts';
export type { Monitor } from './drift/monitor.ts';
export type { Observable, Observation } from './drift/observation.ts';
export type { DriftReport, DriftState, Moved, Transition } from './drift/report.ts';
export { type ErrorCode, errorTable, StoplineError } from './errors.ts';
export { type FitResult, fit } from './fit/fit.ts';
export type { FitOptions } from './fit/options.ts';
export type { Outlier, Outliers } from './fit/outliers.ts';
export {
  type CameraFolder,
  fitPer,
  listSources,
  type SourceFit,
  type SourceRule,
  sourceRule,
} from './fit/percamera.ts';
export {
  createGate,
  type Gate,
  type GateOptions,
  type GatePolicy,
  type Guarded,
  type GuardOptions,
} from './gate/gate.ts';
export type { Judged, Mode, OnError } from './gate/policy.ts';
export type { Container } from './image/container/container.ts';
export { defaultLimits, type Frame, type Limits } from './image/frame.ts';
export type { History, JpegPass } from './image/jpeghistory.ts';
export { type Mask, type MaskedArea, maskAreas } from './image/mask.ts';
export { readMask } from './image/readmask.ts';
export type { Statistic, StatisticGroup } from './image/statistics/statistic.ts';
export { statistics } from './image/statistics/statistics.ts';
export { type Advice, type AdviceTable, englishAdvice, findAdvice } from './profile/advice.ts';
export { profileVersion } from './profile/checksum.ts';
export { describeProfile, type Profile, type ProfileDescription } from './profile/description.ts';
export { loadProfile, saveProfile } from './profile/file.ts';
export { createInspector, type Inspector, type InspectorOptions } from './profile/inspector.ts';
export type { Reason } from './profile/reasons.ts';
export type { DetectorScore } from './profile/score.ts';
export type { DecideBy, Verdict } from './profile/verdict.ts';
export { type ReportOptions, renderReport } from './report/page.ts';
export { createPool, type Pool, type PoolOptions } from './run/pool.ts';
