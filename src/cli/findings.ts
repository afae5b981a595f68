import { type CheckedShare, type PopulationCheck, summarizeCheck } from '../drift/check.ts';
import { describeMedians, falseDiscoveryRate } from '../drift/moved.ts';
import { leastImages, type Population, type Shift } from '../drift/population.ts';
import { statistics } from '../image/statistics/statistics.ts';
import type { Profile } from '../profile/description.ts';
import { describeFileFacts } from '../profile/filefacts.ts';
import { adviseOn } from '../profile/likelycause.ts';
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

/** Shares first, then what has moved, in the order of every report, then the rest. */
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
  return `${words}: ${describeMedians(shift)}; distance ${distance.toFixed(2)}, adjusted p ${pText(adjusted)}`;
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
    groups: check.groups.map(({ group, words, members }) => ({
      group,
      text: words,
      statistics: members.map(({ name }) => name),
    })),
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

/** What it means and how large it is: the first line of every format. */
function headline({ check }: Checked): string {
  const { counts, failsByFailed } = check;
  if (!failsByFailed || counts.failed === counts.images) return summarizeCheck(check);
  return `${counts.failed} of ${count(counts.images, 'image')} could not be judged, so nothing is known of them. The others: ${summarizeCheck(check)}`;
}

/** A data set that was not looked at has not drifted. */
function failureWord({ failsByFailed }: PopulationCheck): string {
  return failsByFailed ? 'FAIL' : 'DRIFT';
}

/** One line where there is one fact, otherwise a heading and a line for each. */
function listFileFacts(facts: readonly string[]): string[] {
  if (facts.length < 2) return facts.map((line) => `About the files: ${line}.`);
  return ['About the files:', ...facts.map((line) => `  ${line}`)];
}

/** What a reader should know beside what was found. */
function remarks({ check, population, profile }: Checked): string[] {
  const { counts, shifts } = check;
  const untested = profile.statistics.length + profile.detectors.length - shifts.length;
  const [cause] = population.causes();
  const stopped = counts.warn + counts.block;
  return [
    ...listFileFacts(describeFileFacts(population.fileFacts(), counts.images - counts.failed)),
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
  const { findings, check, population, profile } = checked;
  const mark = ({ passed }: { passed: boolean }) =>
    passed ? styled('green', 'pass') : styled(['bold', 'red'], 'FAIL');
  const word = check.passed ? styled(['bold', 'green'], 'PASS') : styled(['bold', 'red'], failureWord(check));
  const isShiftAllowed = !check.isShifted || check.failOn === 'stopped';
  const lines = [
    `${word}  ${printable(headline(checked))}`,
    `${count(check.counts.images, 'image')} against the reference "${printable(profile.name)}":`,
    ...findings.filter(({ group }) => group === 'shares').map((finding) => `  ${mark(finding)}  ${finding.text}`),
    `  ${mark({ passed: isShiftAllowed })}  ${tellMoved(check)}`,
    ...listGroups(check),
  ];
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

function tellMoved({ moved, compared, maxDistance }: PopulationCheck): string {
  if (compared === 0) return 'no statistic could be compared: the images are too few';
  return `${moved.length} of ${compared} statistics have moved (distance above ${maxDistance}, false discovery rate ${percent(falseDiscoveryRate)})`;
}

/** What has moved as people see it, the names of the numbers left out. */
function listGroups({ groups }: PopulationCheck): string[] {
  const lines = groups.slice(0, maxRows).map(({ words, lead, members }, i) => {
    const others = members.length > 1 ? ` (and ${count(members.length - 1, 'more statistic')})` : '';
    return `        ${i + 1}. ${words}: ${describeMedians(lead)}${others}`;
  });
  const more = groups.length - maxRows;
  if (more > 0) lines.push(`        and ${count(more, 'more thing')} that a person sees`);
  if (groups.length > 0) lines.push('        (--json lists every statistic by its name)');
  return lines;
}

/** A table for a pull request or `$GITHUB_STEP_SUMMARY`. */
function markdown(checked: Checked): string {
  const { findings, check, population, profile } = checked;
  const rows = findings
    .filter(({ group }) => group === 'shares')
    .map(({ name, passed, text: words }) => `| ${passed ? 'pass' : '**fail**'} | \`${name}\` | ${cell(words)} |`);
  const worst = population
    .worst()
    .filter(({ verdict }) => verdict !== 'pass')
    .slice(0, maxImages);
  return [
    `### ${check.passed ? 'Pass' : check.failsByFailed ? 'Fail' : 'Drift'}`,
    '',
    cell(headline(checked)),
    '',
    `${count(check.counts.images, 'image')} against the reference "${cell(profile.name)}".`,
    '',
    '| | checked | found |',
    '| --- | --- | --- |',
    ...rows,
    '',
    `${check.moved.length} of ${check.compared} statistics have moved${check.groups.length > 0 ? ':' : '.'}`,
    ...(check.groups.length > 0 ? [''] : []),
    ...check.groups
      .slice(0, maxRows)
      .map(({ words, lead }, i) => `${i + 1}. ${cell(`${words}: ${describeMedians(lead)}`)}`),
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
      [headline(checked), ...(rest > 0 ? [`${rest} more have moved.`] : []), ...remarks(checked)].join(' '),
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
  const name = xml([headline(checked), ...remarks(checked)].join(' '));
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
