import { describe, expect, it } from 'vitest';
import { corruptions } from '../../src/image/corruptions/causes.ts';
import { englishAdvice } from '../../src/profile/advice.ts';
import { spellCause } from '../../src/profile/labels.ts';
import { adviseOn, findLikelyCause, nameCause, namedFrom } from '../../src/profile/likelycause.ts';
import type { Reason } from '../../src/profile/reasons.ts';
import { findSight, type SightKind } from '../../src/profile/sights.ts';

const reason = (kind: SightKind, ...news: string[]): Reason => {
  const evidence = news.map((statistic) => ({
    statistic,
    value: 'other',
    unit: '',
    direction: 'new' as const,
    pValue: 0.01,
    text: '',
  }));
  return {
    group: findSight(kind).group,
    kind,
    statistic: kind,
    value: 1,
    unit: '',
    direction: 'high',
    pValue: 0.01,
    text: '',
    advice: '',
    evidence,
  };
};
const detectors = [{ name: 'combined', pValue: 0.001, score: 2 }];
const causes = (cause: string, probability: number) => [
  { cause, probability },
  { cause: 'unknown', probability: 1 - probability },
];

describe('the likely cause', () => {
  it('is a family where the simulated causes are not sure', () => {
    const { kind, family, text, probability } =
      findLikelyCause([reason('hazy')], { causes: causes('fog', namedFrom - 0.01), detectors }) ?? {};
    expect({ kind, family, text, probability }).toEqual({
      kind: 'family',
      family: 'weather',
      text: 'haze or weather, or something on the lens',
      probability: undefined,
    });
  });

  it('is one cause where they are sure and what is seen agrees', () => {
    const sure = { causes: causes('fog', 0.999), detectors };
    expect(findLikelyCause([reason('hazy')], sure)).toMatchObject({
      kind: 'cause',
      cause: 'fog',
      text: 'haze or weather, or something on the lens; of the simulated causes most like fog (99 %)',
    });
    // Between the families that are seen the simulated causes decide, if they are sure and the file is known.
    const both = [reason('bright'), reason('blurred')];
    const blurry = { causes: causes('motionBlur', 0.99), detectors };
    expect(findLikelyCause(both, blurry)).toMatchObject({ kind: 'cause', family: 'blur' });
    expect(findLikelyCause(both, { ...blurry, causes: causes('motionBlur', namedFrom - 0.01) })).toMatchObject({
      kind: 'family',
      family: 'light',
    });
    // Of a foreign file, the first thing seen does.
    const foreign = [...both, reason('file', 'size')];
    expect(findLikelyCause(foreign, blurry)).toMatchObject({ kind: 'family', family: 'light' });
    expect(findLikelyCause([...both.reverse(), reason('file', 'size')], blurry)).toMatchObject({ kind: 'cause' });
    // Dusk is never said to be motion blur, however sure.
    expect(findLikelyCause([reason('dark')], { causes: causes('motionBlur', 0.99), detectors })).toMatchObject({
      kind: 'family',
      family: 'light',
    });
  });

  it('is a broken stream only where the simulated causes are sure, and what is seen has no nearer cause', () => {
    const bars = { causes: causes('placeholder', 0.99), detectors };
    expect(findLikelyCause([reason('scene')], bars)).toMatchObject({ kind: 'cause', family: 'stream' });
    expect(findLikelyCause([reason('vivid'), reason('scene')], bars)).toMatchObject({ cause: 'placeholder' });
    expect(findLikelyCause([reason('dark')], bars)).toMatchObject({ kind: 'family', family: 'light' });
    expect(findLikelyCause([reason('blurred')], bars)).toMatchObject({ kind: 'family', family: 'blur' });
    expect(findLikelyCause([reason('scene')], { causes: causes('placeholder', 0.5), detectors })?.kind).toBe('unknown');
    // Of a foreign file, no simulated cause is told that is not seen first.
    expect(findLikelyCause([reason('scene'), reason('file', 'size')], bars)?.kind).toBe('unknown');
    // A mirrored picture shows its scene in other places.
    const mirrored = { causes: causes('orientation', 0.95), detectors };
    expect(findLikelyCause([reason('scene')], mirrored)).toMatchObject({ kind: 'cause', family: 'geometry' });
  });

  it('is the wrong way round where that is seen first, without a percentage', () => {
    const turned = { ...reason('moved'), statistic: 'layout', text: 'upside down' };
    const found = findLikelyCause([turned, reason('blocked')], { causes: causes('occlusion', 0.99), detectors });
    expect(found).toMatchObject({ kind: 'cause', family: 'geometry', cause: 'orientation', text: 'upside down' });
    expect(found).not.toHaveProperty('probability');
  });

  it('is a family of its own where colours are wrong: a swap of channels moves no camera', () => {
    const swap = { causes: causes('channelSwap', 0.95), detectors };
    expect(findLikelyCause([reason('tinted')], swap)).toMatchObject({
      kind: 'cause',
      cause: 'channelSwap',
      family: 'colour',
    });
    const unsure = { causes: causes('channelSwap', 0.7), detectors };
    expect(findLikelyCause([reason('tinted')], unsure)).toMatchObject({ kind: 'family', family: 'colour' });
    expect(findLikelyCause([reason('moved')], swap)).toMatchObject({ family: 'geometry', kind: 'family' });
  });

  it('is another camera, without a percentage, where encoder, size and scene are foreign', () => {
    const seen = [reason('hazy'), reason('file', 'size', 'fingerprint')];
    const strange = {
      causes: causes('fog', 0.99),
      detectors: [...detectors, { name: 'embedding', pValue: 0.01, score: 3 }],
    };
    const found = findLikelyCause(seen, strange);
    expect(found).toMatchObject({ kind: 'camera' });
    expect(found?.text).toMatch(/^another camera/);
    expect(found?.text).not.toContain('%');
    expect(found?.advice).toBe(englishAdvice.camera);
    // The same scene in another file is no other camera, nor is the same file with another scene.
    const known = { ...strange, detectors: [...detectors, { name: 'embedding', pValue: 0.5, score: 0.1 }] };
    expect(findLikelyCause(seen, known)?.kind).toBe('cause');
    expect(findLikelyCause([reason('hazy'), reason('file', 'size')], strange)?.kind).toBe('cause');
  });

  it('is another camera, too, where encoder and size are foreign and only what every camera has of its own is seen', () => {
    const known = { causes: causes('channelSwap', 0.99), detectors: [{ name: 'combined', pValue: 0.05, score: 1 }] };
    const foreign = reason('file', 'size', 'fingerprint');
    for (const kind of ['tinted', 'coarse', 'compressed', 'moved'] as const)
      expect(findLikelyCause([reason(kind), foreign], known), kind).toMatchObject({ kind: 'camera' });
    expect(findLikelyCause([reason('dark'), foreign], known)).toMatchObject({ kind: 'family', family: 'light' });
    expect(findLikelyCause([reason('tinted'), reason('file', 'size')], known)?.kind).not.toBe('camera');
  });

  it('is the file where nothing but the file is foreign', () => {
    const found = findLikelyCause([reason('file', 'format')], { causes: causes('webp', 0.99), detectors });
    expect(found).toMatchObject({ kind: 'file', advice: englishAdvice.file });
    expect(nameCause({ verdict: 'block', cause: found })).toBe('another kind of file');
    expect(adviseOn('another kind of file')).toBe(englishAdvice.file);
  });

  it('is one cause where anything found agrees, told or not', () => {
    const zoom = { causes: causes('cropZoom', 0.99), detectors };
    expect(findLikelyCause([reason('blurred')], zoom)).toMatchObject({ kind: 'family', family: 'blur' });
    expect(findLikelyCause([reason('blurred')], { ...zoom, kinds: ['blurred', 'texture'] })).toMatchObject({
      kind: 'cause',
      cause: 'cropZoom',
    });
  });

  it('is unknown where nothing seen speaks for a family, and absent where there are no causes either', () => {
    expect(findLikelyCause([reason('scene')], { causes: causes('fog', 0.99), detectors })).toMatchObject({
      kind: 'unknown',
    });
    expect(findLikelyCause([reason('texture')], { detectors })).toBeUndefined();
  });
});

describe('nameCause', () => {
  it('says what the verdict says in a word or two', () => {
    const stopped = { verdict: 'block', causes: causes('fog', 0.99) };
    expect(nameCause({ ...stopped, cause: { kind: 'family', family: 'weather', text: '' } })).toBe('haze or weather');
    expect(nameCause({ ...stopped, cause: { kind: 'cause', family: 'weather', cause: 'fog', text: '' } })).toBe('fog');
    const blurry = { kind: 'cause', family: 'blur', cause: 'defocusBlur', text: '' } as const;
    expect(nameCause({ ...stopped, cause: blurry })).toBe('defocus blur');
    const turned = { kind: 'cause', family: 'geometry', cause: 'orientation', text: '' } as const;
    expect(nameCause({ ...stopped, cause: turned })).toBe('turned or mirrored');
    const dusk = { kind: 'cause', family: 'light', cause: 'dusk', text: '' } as const;
    expect(nameCause({ ...stopped, cause: dusk })).toBe('dusk');
    expect(nameCause({ ...stopped, cause: { kind: 'family', family: 'colour', text: '' } })).toBe('colour');
    expect(nameCause({ ...stopped, cause: { kind: 'camera', text: '' } })).toBe('another camera');
    expect(nameCause({ ...stopped, cause: { kind: 'unknown', text: '' } })).toBe('unknown');
  });

  it('is something that there is advice on', () => {
    expect(adviseOn('haze or weather')).toBe(englishAdvice['family:weather']);
    expect(adviseOn('another camera')).toBe(englishAdvice.camera);
    expect(adviseOn('fog')).toBe(englishAdvice.fog);
    for (const name of ['defocusBlur', 'defocus blur']) expect(adviseOn(name)).toBe(englishAdvice.defocusBlur);
    for (const { name } of corruptions) {
      const told = nameCause({ verdict: 'block', cause: { kind: 'cause', cause: name, text: '' } });
      for (const said of [name, spellCause(name), told as string])
        expect(adviseOn(said), said).toBe(englishAdvice[name]);
    }
    expect(adviseOn('unknown')).toBe(englishAdvice.unknown);
    expect(adviseOn('locusts')).toBeUndefined();
  });

  it('takes the simulated causes of rows that an earlier version wrote, and says nothing of a pass', () => {
    expect(nameCause({ verdict: 'warn', causes: causes('fog', 0.6) })).toBe('fog');
    expect(nameCause({ verdict: 'pass', causes: causes('fog', 0.6) })).toBeUndefined();
    expect(nameCause({ verdict: 'warn' })).toBeUndefined();
  });
});
