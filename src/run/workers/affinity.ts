import { readFileSync } from 'node:fs';

/** The numbers in a list of the kernel, such as `0-2,5`. */
export function readCpuList(list: string): number[] {
  return list
    .trim()
    .split(',')
    .filter(Boolean)
    .flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/**
 * The processors that so many processes keep to, one each; none where there are more or fewer of them than this process may use,
 * because then somebody else is to use the rest, or they have to share.
 */
export function chooseCpus(count: number): number[] {
  if (process.platform !== 'linux') return [];
  try {
    const list = /^Cpus_allowed_list:(.*)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '';
    const allowed = readCpuList(list);
    return count > 1 && allowed.length === count ? allowed : [];
  } catch {
    return [];
  }
}
