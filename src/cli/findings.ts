import {
  type CheckedShare,
  falseDiscoveryRate,
  groupMoved,
  type PopulationCheck,
  summarizeCheck,
} from '../drift/check.ts';
import { leastImages, type Population, type Shift } from '../drift/population.ts';
import { statistics } from '../image/statistics/statistics.ts';
import type { Profile } from '../profile/description.ts';
import { describeFileFacts } from '../profile/filefacts.ts';
import { adviseOn } from '../profile/likelycause.ts';
import { readMeaning, unitAfter, writeNumbers } from '../profile/sights.ts';
import { count, percent, printable, styled, table } from './terminal.ts';

export const findingsFormats = ['text', 'json', 'junit', 'github', 'markdown'] as const;
export type FindingsFormat = (typeof findingsFormats)[number];

/** One thing that was checked. */
interface CheckFinding {
  group: 'shares' | 'detectors' | 'statistics';
  /** The name of the statistic, of the detector or of the share. */
  name: string;
  passed: boolean;
  /** What was found, in a sentence. */
  text: string;
}

interface Checked {
  findings: readonly CheckFinding[];
  check: PopulationCheck;
  population: Population;
  profile: Profile;
}

/** Annotations beyond are cut off by GitHub: ten for each step. */
const maxAnnotations = 8;
/** Lines of text a table has room for. */
const maxRows = 8;
/** Images that are named. */
const maxImages = 3;

/** Shares first, then what has moved, farthest first, then the rest. */
export function listFindings({ shares, shifts, failOn }: PopulationCheck): CheckFinding[] {
  const shareFinding = (name: string, words: string, share: CheckedShare): CheckFinding => ({
    group: 'shares',
    name,
    passed: share.passed || failOn === 'shifted',
    text: `${percent(share.share)} ${words} (${share.hits} of ${share.images}, 95 % interval ${percent(share.low)} to ${percent(share.high)}), ${percent(share.max)} allowed`,
  });
  const moved = shifts.map(
    (shift): CheckFinding => ({
      group: shift.kind === 'detector' ? 'detectors' : 'statistics',
      name: shift.name,
      passed: !shift.moved || failOn === 'stopped',
      text: shiftText(shift),
    }),
  );
  return [
    shareFinding('blocked', 'blocked', shares.block),
    shareFinding('stopped', 'warned about or blocked', shares.warn),
    failedFinding(shares.failed),
    ...moved.filter(({ passed }) => !passed),
    ...moved.filter(({ passed }) => passed),
  ];
}

/** Every image counts here, so there is no interval. */
function failedFinding({ passed, hits, images, share, max }: CheckedShare): CheckFinding {
  const text = `${percent(share)} could not be judged (${hits} of ${images}), ${percent(max)} allowed`;
  return { group: 'shares', name: 'failed', passed, text };
}

function shiftText(shift: Shift): string {
  const { name, kind, direction, distance, adjusted } = shift;
  const row = statistics.find((statistic) => statistic.name === name);
  const words =
    kind === 'detector'
      ? `${direction === 'low' ? 'less' : 'more'} strange than the reference by the detector ${name}`
      : direction === 'spread'
        ? `spread otherwise than in the reference (${name})`
        : `${(direction === 'high' ? row?.high : row?.low) ?? `${direction}er than`} the reference (${name})`;
  return `${words}: ${mediansText(shift)}; distance ${distance.toFixed(2)}, adjusted p ${pText(adjusted)}`;
}

/** `median brightness: median 31 (12 to 60), in the reference 95 (41 to 148)` */
function mediansText({ name, current, reference }: Shift): string {
  const row = statistics.find((statistic) => statistic.name === name);
  const legible = row && readMeaning(name).legible;
  const scale = legible?.isPercent ? 100 : 1;
  const unit = legible?.isPercent ? ' %' : row && !legible ? unitAfter(row) : '';
  const numbers = [current, reference].flatMap(({ p50, p01, p99 }) => [p50, p01, p99]).map((number) => number * scale);
  const texts = writeNumbers(numbers, legible?.digits ?? row?.digits ?? 2, (row?.resolution ?? 0) * scale);
  const label = legible ? `${legible.label}, ` : '';
  return `${label}median ${texts[0]}${unit} (${texts[1]} to ${texts[2]}), in the reference ${texts[3]}${unit} (${texts[4]} to ${texts[5]})`;
}

function pText(p: number): string {
  return p < 1e-12 ? '< 1e-12' : String(Number(p.toPrecision(2)));
}

/** For programs: everything that the other formats are made from. */
export function toJson(check: PopulationCheck, population: Population, profile: Profile) {
  const { passed, isStopped, isShifted, counts, shares, shifts, moved, compared, maxDistance, failOn } = check;
  return {
    passed,
    summary: summarizeCheck(check),
    isStopped,
    isShifted,
    failOn,
    moved: moved.length,
    compared,
    ...counts,
    shares,
    maxDistance,
    falseDiscoveryRate,
    statistics: shifts,
    causes: population.causes(),
    reasons: population.reasons(),
    file: population.fileFacts(),
    errors: population.errors(),
    worst: population.worst(),
    profile: { name: profile.name, sha256: profile.sha256 },
  };
}

export function formatFindings(format: Exclude<FindingsFormat, 'json'>, checked: Checked): string {
  if (format === 'junit') return junit(checked);
  if (format === 'github') return annotations(checked);
  return format === 'markdown' ? markdown(checked) : text(checked);
}

function headline({ check, profile }: Checked): string {
  const { counts, passed, failsByFailed } = check;
  if (counts.failed === counts.images) return `none of ${count(counts.images, 'image')} could be judged`;
  if (failsByFailed) {
    return `${counts.failed} of ${count(counts.images, 'image')} could not be judged; the others match the reference "${profile.name}"`;
  }
  return `${count(counts.images, 'image')} ${passed ? 'match' : 'do not match'} the reference "${profile.name}"`;
}

/** A data set that was not looked at has not drifted. */
function failureWord({ failsByFailed }: PopulationCheck): string {
  return failsByFailed ? 'FAIL' : 'DRIFT';
}

/** What a reader should know beside what was found. */
function remarks({ check, population, profile }: Checked): string[] {
  const { counts, shifts } = check;
  const untested = profile.statistics.length + profile.detectors.length - shifts.length;
  const [cause] = population.causes();
  const stopped = counts.warn + counts.block;
  return [
    ...describeFileFacts(population.fileFacts(), counts.images - counts.failed).map(
      (line) => `About the files: ${line}.`,
    ),
    ...(cause && cause.cause !== 'unknown' && stopped > 0
      ? [
          `Likeliest cause: ${cause.cause}, of ${cause.count} of ${count(stopped, 'image')} that did not pass.`,
          ...describeAdvice(cause.cause),
        ]
      : []),
    ...(untested > 0
      ? [
          `${untested} of ${shifts.length + untested} distributions were not compared: worth fewer than ${leastImages} independent images.`,
        ]
      : []),
    ...population
      .errors()
      .map(
        ({ code, count: times, example }) =>
          `${count(times, 'image')} that could not be judged ${times === 1 ? 'counts' : 'count'} as blocked: ${code}, such as ${example}.`,
      ),
  ];
}

/** What to do about a cause, a line for each reader. */
function describeAdvice(cause: string): string[] {
  const advice = adviseOn(cause);
  return advice ? [`On shift: ${advice.onShift}`, `Data scientist: ${advice.dataScientist}`] : [];
}

function text(checked: Checked): string {
  const { findings, check, population } = checked;
  const mark = ({ passed }: { passed: boolean }) =>
    passed ? styled('green', 'pass') : styled(['bold', 'red'], 'FAIL');
  const groups = groupMoved(check);
  const lines = [
    `${check.passed ? styled(['bold', 'green'], 'PASS') : styled(['bold', 'red'], failureWord(check))}  ${printable(headline(checked))}`,
    `  ${summarizeCheck(check)}`,
    ...findings.filter(({ group }) => group === 'shares').map((finding) => `  ${mark(finding)}  ${finding.text}`),
    `  ${mark({ passed: !check.isShifted || check.failOn === 'stopped' })}  ${check.moved.length} of ${check.compared} statistics have moved (distance above ${check.maxDistance}, false discovery rate ${percent(falseDiscoveryRate)})`,
    ...groups.slice(0, maxRows).map(({ words, lead, shifts }, i) => {
      const others = shifts.length > 1 ? ` (and ${count(shifts.length - 1, 'more statistic')})` : '';
      return `        ${i + 1}. ${words}: ${mediansText(lead)}${others}`;
    }),
  ];
  if (groups.length > 0) lines.push('        (--json lists every statistic by its name)');
  lines.push(...remarks(checked).map(printable));
  const reasons = population.reasons().slice(0, 5);
  if (reasons.length > 0) {
    lines.push(styled('bold', 'First reasons of images that did not pass'));
    lines.push(
      table(
        reasons.map((reason) => [`  ${reason.count}`, reason.text]),
        [0],
      ),
    );
  }
  const worst = population
    .worst()
    .filter(({ verdict }) => verdict !== 'pass')
    .slice(0, maxImages);
  if (worst.length > 0) {
    lines.push(styled('bold', 'Strangest images'));
    for (const {
      path,
      verdict,
      reasons: [first],
    } of worst) {
      lines.push(`  ${verdict}  ${printable(path)}${first ? `\n         ${printable(first)}` : ''}`);
    }
  }
  return lines.join('\n');
}

/** A table for a pull request or `$GITHUB_STEP_SUMMARY`. */
function markdown(checked: Checked): string {
  const { findings, check, population } = checked;
  const shown = findings.filter(({ group, passed }) => group === 'shares' || !passed);
  const rows = shown
    .slice(0, 3 + maxRows)
    .map(({ name, passed, text: words }) => `| ${passed ? 'pass' : '**fail**'} | \`${name}\` | ${cell(words)} |`);
  const worst = population
    .worst()
    .filter(({ verdict }) => verdict !== 'pass')
    .slice(0, maxImages);
  return [
    `### ${check.passed ? 'Pass' : check.failsByFailed ? 'Fail' : 'Drift'}: ${cell(headline(checked))}`,
    '',
    cell(summarizeCheck(check)),
    '',
    '| | checked | found |',
    '| --- | --- | --- |',
    ...rows,
    '',
    `${check.moved.length} of ${check.compared} statistics have moved.`,
    ...remarks(checked).map((remark) => `\n${cell(remark)}`),
    ...(worst.length > 0
      ? [
          '',
          'Strangest images:',
          '',
          ...worst.map(({ path, verdict, reasons: [first = ''] }) => `- ${verdict}: ${cell(path)}: ${cell(first)}`),
        ]
      : []),
  ].join('\n');
}

/** File names may hold anything: no mark-up, no new line, no cell border of theirs counts. */
function cell(words: string): string {
  return printable(words).replace(/[\\`*_[\]<>#|&~@]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Workflow commands of GitHub Actions: one annotation a failure, and one that sums up. */
function annotations(checked: Checked): string {
  const failed = checked.findings.filter(({ passed }) => !passed);
  const command = (level: 'error' | 'notice', title: string, message: string) =>
    `::${level} title=${escapeProperty(`Stopline: ${title}`)}::${escapeData(printable(message))}`;
  const rest = failed.length - maxAnnotations;
  return [
    ...failed.slice(0, maxAnnotations).map(({ name, group, text: words }) => {
      const title =
        name === 'failed' ? 'images not judged' : group === 'shares' ? `too many images ${name}` : `${name} has moved`;
      return command('error', title, words);
    }),
    command(
      checked.check.passed ? 'notice' : 'error',
      checked.check.passed ? 'pass' : failureWord(checked.check).toLowerCase(),
      [headline(checked), ...(rest > 0 ? [`${rest} more have moved`] : []), ...remarks(checked)].join('. '),
    ),
  ].join('\n');
}

/** As actions/toolkit does. */
function escapeData(words: string): string {
  return words.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function escapeProperty(words: string): string {
  return escapeData(printable(words)).replaceAll(':', '%3A').replaceAll(',', '%2C');
}

/** JUnit XML: a suite a group, a case for everything that was checked. */
function junit(checked: Checked): string {
  const { findings } = checked;
  const failures = (findings: readonly CheckFinding[]) => findings.filter(({ passed }) => !passed).length;
  const suites = (['shares', 'detectors', 'statistics'] as const).map((group) => {
    const members = findings.filter((finding) => finding.group === group);
    const cases = members.map(({ name, passed, text: words }) => {
      const head = `    <testcase classname="stopline.${group}" name="${xml(name)}"`;
      return passed
        ? `${head}><system-out>${xml(words)}</system-out></testcase>`
        : `${head}><failure message="${xml(words)}"/></testcase>`;
    });
    return [
      `  <testsuite name="stopline.${group}" tests="${members.length}" failures="${failures(members)}">`,
      ...cases,
      '  </testsuite>',
    ].join('\n');
  });
  const name = xml([headline(checked), ...remarks(checked)].join('. '));
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${name}" tests="${findings.length}" failures="${failures(findings)}">`,
    ...suites,
    '</testsuites>',
  ].join('\n');
}

function xml(words: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return printable(words).replace(/[&<>"]/g, (character) => entities[character]);
}
