import type { Config } from '../../settings.ts';

/**
 * What the paths of the service itself begin with: a gate keeps them apart, because every other path is its upstream's, which may
 * have a `/metrics`, a `/v2` or a page at `/` of its own.
 * @returns `/stopline`, or nothing where there is no upstream
 */
export function ownPrefix({ upstream }: Pick<Config, 'upstream'>): '' | '/stopline' {
  return upstream === undefined ? '' : '/stopline';
}
