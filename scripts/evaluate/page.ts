const preface = `# Detection

What is detected at which rate of false alarms, on images that no part of the model has seen. Whole groups of images are
held out in turn; the model that scores an image was neither fitted, nor calibrated, nor shown simulated causes on its
group. Each section is written by the command that it names; \`npm run evaluate -- --help\` explains the options.
`;

/** The page with the section of this heading replaced, or added at the end. */
export function withSection(text: string | undefined, heading: string, section: string): string {
  const parts = (text ?? preface).split(/^(?=## )/m);
  const at = parts.findIndex((part) => part.startsWith(`${heading}\n`));
  if (at < 0) parts.push(section);
  else parts[at] = section;
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}
