// @ts-check
/**
 * What the service answers, by the types that the service is written with: a field that is renamed there fails the check here.
 * @typedef {import('../routes/drift.ts').SourceReport} DriftReport
 * @typedef {import('../../drift/report.ts').DriftState} DriftState
 * @typedef {import('../../drift/report.ts').Moved} Moved
 * @typedef {import('../routes/profile.ts').LabelledStatistic} Statistic
 * @typedef {import('../../profile/description.ts').Profile} Profile
 * @typedef {import('../../profile/verdict.ts').Verdict} Verdict
 * @typedef {import('../quarantine/item.ts').QuarantineItem} QuarantineItem
 * @typedef {import('../store/database.ts').TrendPoint} TrendPoint
 * @typedef {import('../watch/monitors.ts').SourceSummary} SourceSummary
 * @typedef {import('../watch/recent.ts').RecentImages} RecentImages
 * @typedef {import('../watch/recent.ts').StrangeImage} StrangeImage
 * @typedef {Verdict['verdict']} Kind
 */

/**
 * @typedef {import('../watch/recent.ts').RecentSource} RecentSource
 * @typedef {{ name: string, logFloor?: number, p01: number, p50: number, p99: number }} Band
 * @typedef {{ images: number, statistics: Band[], cloud: [number, number][], scoreLimits: { warn: number, block: number }, hasExample: boolean }} Reference
 * @typedef {ReturnType<typeof import('../../profile/description.ts').describeProfile>} Description
 * @typedef {Description & { model?: { runtime?: string, provider?: string } }} ProfileAnswer
 * @typedef {{ total: number, states: Record<string, number>, now: number, staleAfterMs: number, sources: (SourceSummary & { trust: Trust, text: string, maintenance?: Maintenance })[], next?: string, storeDegraded?: string, alone?: boolean, overflowed: number }} DriftList
 * @typedef {{ at: number, from: DriftState, to: DriftState, source?: string }} Transition
 * @typedef {{ trend: TrendPoint[], transitions: Transition[] }} History
 * @typedef {import('../watch/journal.ts').JournalEntry} JournalEntry
 * @typedef {{ entries: JournalEntry[], since: number }} JournalAnswer
 * @typedef {{ name: string, version: string, stopline: { profile: { name: string, sha256: string }, threads: number, core?: { build: string, simd: string, reason?: string }, model?: { name: string, runtime: string, provider: string, device: string, failed: { provider: string, reason: string }[] } } }} Metadata
 * @typedef {{ total: number, paths: { path: string, reason: string, count: number, mend: string }[] }} Unjudged
 * @typedef {{ ready: boolean, reason?: string }} Readiness
 * @typedef {{ items: QuarantineItem[], count: number, bytes: number, accepted: number, kind: 'folder' | 'bucket', sources: string[], dropped: number, waiting: number, degraded?: string, next?: number }} QuarantineList
 * @typedef {{ item: QuarantineItem, verdict: Verdict, isAccepted: boolean }} QuarantinedImage
 * @typedef {{ columns: number, rows: number, maps: { kind: string, unit: string, meaning: string, bad: 'high' | 'low', values: number[] }[] }} TileMaps
 * @typedef {{ verdict: Verdict, tiles: TileMaps }} Explanation
 */

/**
 * What comes at /events.
 * @typedef {{ source: string, at: number, verdict: Kind, pValue: number, score: number, reason?: string, cause?: string, profile: string }} VerdictEvent
 * @typedef {{ source: string, at: number, from: DriftState, to: DriftState, text: string, causes: { cause: string, probability: number }[] }} TransitionEvent
 */

/**
 * One camera as the pages know it.
 * @typedef {object} Camera
 * @property {string} source
 * @property {DriftState} [state] absent while no monitor watches it
 * @property {Trust} [trust]
 * @property {string} [text] why, in one sentence
 * @property {Maintenance} [maintenance] while nobody is told of it
 * @property {SourceSummary['learning']} [learning] how far it is, where it learns
 * @property {SourceSummary['recent']} [recent] how the latest images were judged
 * @property {number} [since]
 * @property {number} [lastAt] when its last image came
 * @property {string} [cause] the likeliest when the state last changed
 * @property {number[]} pValues of the latest images, oldest first
 * @property {Kind[]} verdicts of the same images
 */

/**
 * What to answer to "can the classifier be trusted?".
 * @typedef {import('../../drift/trust.ts').Trust} Trust
 * @typedef {NonNullable<import('../../drift/trust.ts').Answer['maintenance']>} Maintenance
 * @typedef {'good' | 'quiet' | 'watch' | 'unknown' | 'bad'} Tone
 * @typedef {{ answer: string, title: string, tone: Tone, text: string }} Answer
 */

export {};
