import type { Command } from 'commander';

/** A command as help lists it. It is loaded when it is used: the service and the demo would triple the start of `inspect`. */
export interface CommandEntry {
  name: string;
  summary: string;
  /** Heading under which it stands in the help of the program. */
  group: string;
  /** Options that the short help shows, where it does not show all. */
  common?: readonly string[];
  load(): Promise<Command>;
}

const groups = {
  first: 'First steps:',
  many: 'Many images:',
  spread: 'Many machines:',
  trust: 'Profiles and models:',
  machine: 'This machine:',
} as const;

/** Every command, in the order of the help. */
export const commandTable: readonly CommandEntry[] = [
  {
    name: 'demo',
    summary: 'see it work: needs no files',
    group: groups.first,
    load: async () => (await import('./demo/demo.ts')).demoCommand(),
  },
  {
    name: 'fit',
    summary: 'learn what the reference images look like: images -> Profile',
    group: groups.first,
    common: ['--out', '--name', '--group-by', '--profile-per', '--warn', '--block', '--classifier', '--power'],
    load: async () => (await import('./fit.ts')).fitCommand(),
  },
  {
    name: 'inspect',
    summary: 'judge images against a Profile, one verdict each',
    group: groups.first,
    load: async () => (await import('./inspect.ts')).inspectCommand(),
  },
  {
    name: 'serve',
    summary: 'judge images over HTTP, with a dashboard; or stand in front of a model server',
    group: groups.first,
    common: [
      ...[
        '--profile',
        '--host',
        '--port',
        '--api-keys',
        '--threads',
        '--upstream',
        '--grpc-upstream',
        '--mode',
        '--on-error',
        '--routes',
      ],
      ...['--state-dir', '--quarantine', '--alert-webhook', '--config', '--print-config'],
    ],
    load: async () => (await import('./serve.ts')).serveCommand(),
  },
  {
    name: 'watch',
    summary: 'watch cameras: fetch their images, judge them, and show and tell what happens',
    group: groups.first,
    common: ['--profile', '--every', '--name', '--config', '--host', '--port', '--state-dir', '--alert-webhook'],
    load: async () => (await import('./watch.ts')).watchCommand(),
  },
  {
    name: 'score',
    summary: 'judge many images: one row an image',
    group: groups.many,
    common: ['--profile', '--out', '--format', '--resume', '--report', '--summary', '--manifest', '--threads'],
    load: async () => (await import('./score.ts')).scoreCommand(),
  },
  {
    name: 'check',
    summary: 'does this data set match the reference? For CI: exit status 0 or 1',
    group: groups.many,
    common: [
      '--profile',
      '--max-block',
      '--max-warn',
      '--max-failed',
      '--max-distance',
      '--fail-on',
      '--format',
      '--manifest',
    ],
    load: async () => (await import('./check.ts')).checkCommand(),
  },
  {
    name: 'drift',
    summary: 'replay recorded images or score rows: when would each alarm have come?',
    group: groups.many,
    common: ['--profile', '--source-pattern', '--every', '--interval', '--manifest'],
    load: async () => (await import('./drift.ts')).driftCommand(),
  },
  {
    name: 'report',
    summary: 'draw a Profile, or a run of score: one HTML file',
    group: groups.many,
    load: async () => (await import('./report.ts')).reportCommand(),
  },
  {
    name: 'pick',
    summary: 'choose the images that are most worth labelling',
    group: groups.many,
    load: async () => (await import('./pick.ts')).pickCommand(),
  },
  {
    name: 'export',
    summary: 'judged images for a labelling tool: COCO, Label Studio, CVAT, FiftyOne',
    group: groups.many,
    load: async () => (await import('./export.ts')).exportCommand(),
  },
  {
    name: 'worker',
    summary: 'judge what score --queue puts on a queue',
    group: groups.spread,
    load: async () => (await import('./worker.ts')).workerCommand(),
  },
  {
    name: 'consume',
    summary: 'judge images from a message broker, and publish the verdicts',
    group: groups.spread,
    common: ['--from', '--broker', '--topic', '--publish', '--group', '--profile'],
    load: async () => (await import('./consume.ts')).consumeCommand(),
  },
  {
    name: 'merge',
    summary: 'join the parts of a run that was spread over machines',
    group: groups.spread,
    load: async () => (await import('./merge.ts')).mergeCommand(),
  },
  {
    name: 'profile',
    summary: 'make a new version of a Profile, sign it',
    group: groups.trust,
    load: async () => (await import('./profile.ts')).profileCommand(),
  },
  {
    name: 'model',
    summary: 'look at a classifier that is to be watched',
    group: groups.trust,
    load: async () => (await import('./model.ts')).modelCommand(),
  },
  {
    name: 'corrupt',
    summary: 'simulate a cause (rain, blur, JPEG...) on images, or draw all of them on one page',
    group: groups.trust,
    load: async () => (await import('./corrupt.ts')).corruptCommand(),
  },
  {
    name: 'crop',
    summary: 'cut objects out of images by boxes, a folder for each class',
    group: groups.trust,
    load: async () => (await import('./crop.ts')).cropCommand(),
  },
  {
    name: 'doctor',
    summary: 'say what runs here, and whether it works',
    group: groups.machine,
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  {
    name: 'key',
    summary: 'make an API key for the service',
    group: groups.machine,
    load: async () => (await import('./key.ts')).keyCommand(),
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands and options in bash, zsh or fish',
    group: groups.machine,
    load: async () => (await import('./completion.ts')).completionCommand(commandTable),
  },
];
