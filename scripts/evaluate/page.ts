/** How each page begins. */
export const prefaces = {
  detection: `# Detection

What is detected at which rate of false alarms, on images that no part of the model has seen. Whole groups of images are
held out in turn; the model that scores an image was neither fitted, nor calibrated, nor shown simulated causes on its
group. Each section is written by the command that it names; \`npm run evaluate -- --help\` explains the options.
`,
  harm: `# Harm

How well a verdict tells how often the classifier answers otherwise, on images that no part of the Profile has seen: what
\`expectedFlipRate\` is, and how it is made, is in [models.md](models.md). The reference is cut into parts of whole groups; a
Profile is fitted on all but one with the classifier, as \`fit --classifier\` does it, and images of the one are put through
every cause. Each section is written by the command that it names.
`,
  performance: `# Performance

Times are medians; another machine gives other times, so compare within one run. Each section is written by the command that it
names, and says so itself when the kernels, the statistics or the packages that it times have changed since.
`,
  drift: '# Drift\n',
  watch: '# Cameras\n',
};

/** The page with the section of this heading replaced, or added at the end. */
export function withSection(text: string, heading: string, section: string): string {
  const parts = text.split(/^(?=## )/m);
  const at = parts.findIndex((part) => part.startsWith(`${heading}\n`));
  if (at < 0) parts.push(section);
  else parts[at] = section;
  return `${parts.map((part) => part.trimEnd()).join('\n\n')}\n`;
}
