export type { Container } from './container.ts';
export type { Core, CoreInfo } from './core/index.ts';
export { defaultLimits, type Frame, type Limits } from './decode.ts';
export type { Monitor } from './drift/monitor.ts';
export type { Observable, Observation } from './drift/observation.ts';
export type { DriftReport, DriftState, Moved, Transition } from './drift/report.ts';
export { createDrift, type Drift, type DriftOptions } from './drift.ts';
export { type ErrorCode, errorTable, StoplineError } from './errors.ts';
export { type FitOptions, type FitResult, fit } from './fit.ts';
export type { History, JpegPass } from './forensics.ts';
export { createGate, type Gate, type GateOptions, type GatePolicy, type Guarded, type GuardOptions } from './gate.ts';
export { createInspector, type Inspector, type InspectorOptions } from './inspector.ts';
export type { Outlier, Outliers } from './outliers.ts';
export type { Judged, Mode, OnError } from './policy.ts';
export { createPool, type Pool, type PoolOptions } from './pool.ts';
export {
  describeProfile,
  loadProfile,
  type Profile,
  type ProfileDescription,
  profileVersion,
  saveProfile,
} from './profile.ts';
export { type ReportOptions, renderReport } from './report/page.ts';
export { fitPer, listSources, type Source, type SourceFit, type SourceRule, sourceRule } from './sources.ts';
export { type Statistic, type StatisticGroup, statistics } from './statistics.ts';
export type { DecideBy, DetectorScore, Reason, Verdict } from './verdict.ts';
