import { beforeAll, describe, expect, it } from 'vitest';
import {
  compareProbes,
  markStale,
  type Probe,
  takeProbe,
  takeSightProbe,
  takeSpeedProbe,
  writeProbe,
} from '../../../scripts/docs/probe.ts';

let now: Probe;
beforeAll(async () => {
  now = await takeProbe();
}, 60_000);

const section = (probe: Probe | undefined, rest = 'A table.') =>
  `## One camera\n\n\`\`\`sh\nnpm run evaluate -- --write\n\`\`\`\n\nMade on 2026-11-28, at commit abcdef0.${probe ? `\n${writeProbe(probe)}` : ''}\n\n${rest}\n`;

describe('a measured section', () => {
  it('takes the same probe again, of numbers that the code cannot leave as they are', async () => {
    expect(compareProbes(now, await takeProbe())).toEqual([]);
    expect(Object.values(now).every((value) => value !== 0 && !Number.isNaN(value))).toBe(true);
  });

  it('stays as it is while the code does what it did, also where another build rounds otherwise', () => {
    const page = `# Detection\n\n${section({ ...now, darkScore: (now.darkScore as number) * 1.0005 })}`;
    expect(markStale(page, now)).toBe(page);
  });

  it.each(['statistics', 'measured', 'underCauses', 'darkScore', 'drift'])(
    'says that it is out of date when %s has changed',
    (name) => {
      const then = { ...now, [name]: (now[name] as number) + 1 };
      const marked = markStale(section(then), now);
      expect(marked).toContain(
        `**Out of date**: what it measures has changed since (${name} was ${then[name]} and is ${now[name]}). The command above makes it again.`,
      );
      // Once, however often it is looked at; and no more when it was made again.
      expect(markStale(marked, now)).toBe(marked);
      expect(markStale(marked.replace(writeProbe(then), writeProbe(now)), now)).toBe(section(now));
    },
  );

  it('about cameras goes out of date with what is told of their pictures, and no other does', () => {
    const sights = takeSightProbe();
    expect(sights.sights).toBe('moved 10, rotated 6, frozen 11, part 21');
    const all = { ...now, ...sights };
    expect(markStale(section(now), all)).toBe(section(now));
    expect(markStale(section(all), { ...all, sights: 'nothing' })).toContain('(sights was moved 10');
  });

  it('of times says so when the kernels or a package that it times are others', () => {
    const speed = takeSpeedProbe();
    for (const name of ['kernels', 'statistics', 'sharp', 'fastify']) {
      const page = `# Performance\n\n${section({ ...speed, [name]: 'another' })}`;
      expect(markStale(page, speed)).toContain(`(${name} was another and is ${speed[name]})`);
    }
    expect(markStale(section(speed), speed)).toBe(section(speed));
  });

  it('that keeps no probe is of an earlier version, and a page of words is left alone', () => {
    expect(markStale(section(undefined), now)).toContain('\n\n**Out of date**: it is of an earlier version');
    expect(markStale('# A page\n\n## A section\n\nWords.\n', now)).toBe('# A page\n\n## A section\n\nWords.\n');
  });
});
