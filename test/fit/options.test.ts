import { describe, expect, it } from 'vitest';
import { checkOptions, resolveSecondLook, warnAboutGuesses, warningsAbout } from '../../src/fit/options.ts';

const sound = { seed: 1, asked: { warn: 0.01, block: 0.001 }, simulations: 120, power: 10 };

describe('checkOptions', () => {
  it('takes what is sound, with nothing looked at again, too', () => {
    expect(() => checkOptions(sound)).not.toThrow();
    expect(() => checkOptions({ ...sound, simulations: 0, power: 0 })).not.toThrow();
    expect(() => checkOptions({ ...sound, asked: { warn: 0.1, block: 0.1 } })).not.toThrow();
  });

  it.each([
    [{ seed: 1.5 }, 'an integer for seed but received 1.5'],
    [{ simulations: 5 }, 'none or 10 to 1000 images for simulations but received 5'],
    [{ power: -1 }, '0 to 1000 images for power but received -1'],
    [{ asked: { warn: 0.5, block: 0.1 } }, 'below 0.5 for the false-alarm rate of warn but received 0.5'],
    [{ asked: { warn: 0.01, block: 0.02 } }, 'at most 0.01 for the false-alarm rate of block but received 0.02'],
    [{ asked: { warn: 0.01, block: Number.NaN } }, 'for the false-alarm rate of block but received NaN'],
  ])('refuses %j', (wrong, text) => {
    expect(() => checkOptions({ ...sound, ...wrong })).toThrow(
      expect.objectContaining({ code: 'STOPLINE_ERR_OPTION_INVALID', message: expect.stringContaining(text) }),
    );
  });
});

describe('what is looked at again', () => {
  it('is more where a classifier is asked', () => {
    expect(resolveSecondLook({})).toEqual({ simulations: 120, power: 10 });
    expect(resolveSecondLook({ classifier: 'model.onnx' })).toEqual({ simulations: 120, power: 30 });
    expect(resolveSecondLook({ simulations: 0, power: 0, classifier: 'model.onnx' })).toEqual({
      simulations: 0,
      power: 0,
    });
  });
});

describe('warnings', () => {
  const calm = {
    asked: sound.asked,
    promised: sound.asked,
    duplicates: 0,
    skipped: 0,
    images: 2000,
    by: 'folder' as const,
  };

  it('are none where all is well', () => {
    expect(warningsAbout(calm)).toEqual([]);
    expect(warnAboutGuesses('model', [])).toEqual([]);
  });

  it('say what cannot be promised, and with how many images it could', () => {
    const promised = { warn: 0.01, block: 1 / 101 };
    expect(warningsAbout({ ...calm, promised, images: 100 })).toEqual([
      'A false-alarm rate of 0.001 for block needs 999 reference images; 100 can promise 0.0099, which is used.',
    ]);
    expect(warningsAbout({ ...calm, threshold: 'tail', images: 100 })).toEqual([
      expect.stringMatching(
        /^The rates are expected by an exponential tail .* 100 images: an estimate, not a promise\. .*block/,
      ),
    ]);
    expect(warningsAbout({ ...calm, duplicates: 2, skipped: 3, by: 'image' })).toHaveLength(3);
    expect(warnAboutGuesses('model', ['its size', 'its mean'])[0]).toContain('its size; its mean');
  });
});
