import { describe, expect, it } from 'vitest';
import { corruptions, families } from '../../src/image/corruptions/corruptions.ts';
import { englishAdvice, findAdvice } from '../../src/profile/advice.ts';

describe('advice', () => {
  it('is there for every simulated cause, every family, another camera and what is unknown, and for nothing else', () => {
    const wanted = [
      'camera',
      'file',
      'unknown',
      ...families.map((family) => `family:${family}`),
      ...corruptions.map(({ name }) => name),
    ];
    expect(Object.keys(englishAdvice).sort()).toEqual(wanted.sort());
  });

  it.each(Object.entries(englishAdvice))('%s: one sentence for each reader, and not the same', (_, advice) => {
    for (const text of [advice.onShift, advice.dataScientist]) expect(text).toMatch(/^[A-Z][^.!?]{15,130}\.$/);
    expect(advice.onShift).not.toBe(advice.dataScientist);
  });

  it('is that of the one cause that is named, else of its family, and may come from a translation', () => {
    expect(findAdvice({ kind: 'cause', cause: 'fog', family: 'weather' })).toBe(englishAdvice.fog);
    expect(findAdvice({ kind: 'family', family: 'weather' })).toBe(englishAdvice['family:weather']);
    expect(findAdvice({ kind: 'camera' })).toBe(englishAdvice.camera);
    expect(findAdvice({ kind: 'unknown' })).toBe(englishAdvice.unknown);
    const german = {
      ...englishAdvice,
      fog: { onShift: 'Warten, bis der Nebel steigt.', dataScientist: 'Nebel sammeln.' },
    };
    expect(findAdvice({ kind: 'cause', cause: 'fog' }, german).onShift).toBe('Warten, bis der Nebel steigt.');
    // A cause that a later version simulates.
    expect(findAdvice({ kind: 'cause', cause: 'locusts' })).toBe(englishAdvice.unknown);
  });
});
