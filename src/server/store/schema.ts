/** "STPL": tells a store of ours from any other SQLite file. */
export const applicationId = 0x5354504c;
/** Rises when the tables change; an older file is brought up to date when it is opened, a newer one refused. */
export const schemaVersion = 1;
/** Most rows taken away in one commit, so that none takes long. */
export const pruneSlice = 2000;

export const schema = `
CREATE TABLE monitor (
  source TEXT NOT NULL UNIQUE,
  profile TEXT NOT NULL,
  summary TEXT NOT NULL,
  state BLOB NOT NULL,
  checksum INTEGER NOT NULL
);
CREATE TABLE verdict (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  at INTEGER NOT NULL,
  verdict TEXT NOT NULL,
  pValue REAL NOT NULL,
  score REAL NOT NULL,
  reason TEXT,
  cause TEXT,
  causeProbability REAL,
  requestId TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  ms REAL NOT NULL,
  detectors TEXT NOT NULL
);
CREATE INDEX verdictBySource ON verdict (source, at);
CREATE INDEX verdictByTime ON verdict (at);
CREATE TABLE minute (
  source TEXT NOT NULL,
  at INTEGER NOT NULL,
  images INTEGER NOT NULL,
  warn INTEGER NOT NULL,
  block INTEGER NOT NULL,
  pValueSum REAL NOT NULL,
  pValueMin REAL NOT NULL,
  scoreSum REAL NOT NULL,
  scoreMax REAL NOT NULL,
  msSum REAL NOT NULL,
  UNIQUE (source, at)
);
CREATE INDEX minuteByTime ON minute (at);
CREATE TABLE transition (
  id INTEGER PRIMARY KEY,
  source TEXT NOT NULL,
  at INTEGER NOT NULL,
  "from" TEXT NOT NULL,
  "to" TEXT NOT NULL,
  report TEXT NOT NULL
);
CREATE INDEX transitionBySource ON transition (source, at);
CREATE TABLE alert (
  id TEXT NOT NULL UNIQUE,
  sink TEXT NOT NULL,
  at INTEGER NOT NULL,
  body TEXT NOT NULL
);
`;
