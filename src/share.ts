/**
 * Reads a share such as 0.01 or 1%.
 * @returns undefined where the text is no such number; whether it lies in a range is not looked at
 */
export function parseShare(text: string): number | undefined {
  const [, digits, sign] = /^\s*(-?(?:\d+\.?\d*|\.\d+)(?:e-?\d{1,3})?)\s*(%?)\s*$/i.exec(text) ?? [];
  if (digits === undefined) return undefined;
  // 1% is 0.01, and not 1 / 100 with what floats add to other numbers: 0.07% would be 0.0007000000000000001.
  return sign ? Number(`${digits.replace(/e.*/i, '')}e${Number(/e(.*)/i.exec(digits)?.[1] ?? 0) - 2}`) : Number(digits);
}
