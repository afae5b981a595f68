/** Letters of 5 by 7 dots: a byte for each column, the lowest bit on top. What is not here is a space. */
const columns: Readonly<Record<string, string>> = {
  A: '7e1111117e',
  B: '7f49494936',
  C: '3e41414122',
  D: '7f4141221c',
  E: '7f49494941',
  F: '7f09090901',
  G: '3e4149497a',
  H: '7f0808087f',
  I: '00417f4100',
  J: '2040413f01',
  K: '7f08142241',
  L: '7f40404040',
  M: '7f020c027f',
  N: '7f0408107f',
  O: '3e4141413e',
  P: '7f09090906',
  R: '7f09192946',
  S: '4649494931',
  T: '01017f0101',
  U: '3f4040403f',
  V: '1f2040201f',
  W: '3f4038403f',
  Y: '0708700807',
  '0': '3e5149453e',
  '1': '00427f4000',
  '2': '4261514946',
  '3': '2141454b31',
  '4': '1814127f10',
  '5': '2745454539',
  '6': '3c4a494930',
  '7': '0171090503',
  '8': '3649494936',
  '9': '064949291e',
  ':': '0036360000',
  '-': '0808080808',
  '/': '2010080402',
};

/** Dots from the start of one letter to that of the next, and of a line. */
export const letterSize = { width: 6, height: 7 } as const;

/** Visits the dots of a line of text that are set, from its upper left corner. */
export function visitDots(text: string, visit: (x: number, y: number) => void): void {
  for (let i = 0; i < text.length; i++) {
    const bytes = Buffer.from(columns[text[i]] ?? '', 'hex');
    for (const [x, bits] of bytes.entries()) {
      for (let y = 0; y < letterSize.height; y++) if ((bits >> y) & 1) visit(letterSize.width * i + x, y);
    }
  }
}
