import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { judgingOptions, loadConfig } from '../config.ts';
import { loadCore } from '../core/index.ts';
import { StoplineError } from '../errors.ts';
import { classTensors, type ProposedCard, shapeText } from '../image/embedding/card.ts';
import type { ModelCard } from '../image/embedding/cardschema.ts';
import { checkAnswers } from '../image/embedding/embedder.ts';
import type { Graph } from '../image/embedding/graph.ts';
import { knownFrames } from '../image/embedding/knownframes.ts';
import { openPrepared } from '../image/embedding/open.ts';
import { prepareModel, proposeFor, readCard, readModel, resolveCardPath } from '../image/embedding/prepare.ts';
import { applyProbe, type ProbeResult } from '../image/embedding/probe.ts';
import { tryModel } from '../image/embedding/trial.ts';
import { checkWritable } from './output.ts';
import { describeProbe, probeModel } from './probe.ts';
import { bytesText, commandLine, note, print, printable, printJson, styled, table } from './terminal.ts';

const aboutModel = 'an .onnx file, or the model.json of a TensorFlow.js model';

export function modelCommand(): Command {
  const command = new Command('model')
    .description(
      'Reads models that nobody vouches for: what they are, which layer is worth comparing, and whether they run.',
    )
    .addHelpText(
      'after',
      `
Options of inspect:
  --out <FILE>       write the proposed card, with known answers
  --probe <PATH...>  feed images in every way that is possible, and recommend one
  --labels <FILE>    of --probe: lines of file,class with the position of the class
  --json             print what was found as JSON

Options of check:
  --card <FILE>      the card, where it does not lie beside the model
  --device <DEVICE>  cpu, or gpu to try graphics cards first
  --record           keep the answers of this machine's CPU in the card, after a change to it
  --confirm <FIELD...>  fields of the card that are assumed and are right, or all
  --json             print the result as JSON

Examples:
  ${commandLine('model', 'inspect', 'classifier.onnx')}
  ${commandLine('model', 'inspect', 'classifier.onnx', '--out', 'classifier.card.json')}
  ${commandLine('model', 'inspect', 'classifier.onnx', '--probe', 'images/', '--out', 'classifier.card.json')}
  ${commandLine('model', 'check', 'classifier.onnx')}

Exit status: 0; 69 a package is missing, 70 the model does not run, 78 a bad model or card, or other answers.`,
    );
  command
    .command('inspect')
    .summary('read the graph and propose a model card')
    .description('Reads the graph of a model without trusting it, finds its embedding, and proposes a model card.')
    .argument('<model>', aboutModel)
    .option('-o, --out <FILE>', 'write the proposed card, with known answers; nothing is overwritten')
    .option('--probe <PATH...>', 'images the network knows: feed them in every way that is possible, and recommend one')
    .option('--labels <FILE>', 'of --probe: CSV lines of file,class with the position of the class from 0')
    .option('--json', 'print what was found, and the card, as JSON')
    .addHelpText(
      'after',
      `\nExamples:\n  ${commandLine('model', 'inspect', 'classifier.onnx', '--out', 'classifier.card.json')}\n  ${commandLine('model', 'inspect', 'classifier.onnx', '--probe', 'images/', '--labels', 'labels.csv')}`,
    )
    .action(inspectModel);
  command
    .command('check')
    .summary('run the known answers of a model card')
    .description('Loads a model in a process of its own, then here, and compares what it says of generated frames.')
    .argument('<model>', aboutModel)
    .option('--card <FILE>', 'the card, where it does not lie beside the model')
    .addOption(
      new Option('--device <DEVICE>', 'gpu tries CUDA, TensorRT and WebGPU before the CPU')
        .choices(['cpu', 'gpu'])
        .default('cpu'),
    )
    .option('--confirm <FIELD...>', 'take fields off the list of what is assumed: names such as input.colour, or all')
    .option('--record', "keep the answers of this machine's CPU in the card, after a change to it")
    .option('--json', 'print the result as JSON')
    .addHelpText('after', `\nExamples:\n  ${commandLine('model', 'check', 'classifier.onnx', '--device', 'gpu')}`)
    .action(checkModel);
  return command;
}

interface InspectFlags {
  out?: string;
  probe?: string[];
  labels?: string;
  json?: boolean;
}

async function inspectModel(path: string, flags: InspectFlags): Promise<void> {
  if (flags.labels !== undefined && flags.probe === undefined)
    throw new StoplineError('OPTION_INVALID', 'Expected images for --labels, by --probe PATH, but received none.');
  if (flags.out !== undefined) await checkWritable(flags.out);
  const { limits } = judgingOptions(loadConfig().config);
  const read = await readModel(path, limits);
  const proposed = proposeFor(path, read);
  let { card } = proposed;
  const bytes = read.files.reduce((sum, file) => sum + file.length, 0);
  // A model can be read where it cannot be run.
  try {
    card.answers = await tryModel({ files: read.files, card, limits });
  } catch (error) {
    if (!(error instanceof StoplineError && error.code === 'STOPLINE_ERR_MODEL_RUNTIME')) throw error;
    note(`stopline: warning: the card has no known answers: ${printable(error.message)}`);
  }
  let probe: ProbeResult | undefined;
  if (flags.probe !== undefined) {
    const model = { card, files: read.files, answers: [] };
    probe = await probeModel(model, flags.probe, { labelsFile: flags.labels, ranges: proposed.ranges });
    card = applyProbe(card, probe);
    card.answers = await tryModel({ files: read.files, card, limits });
  }
  if (flags.out !== undefined) await writeCard(flags.out, card);
  const { guesses, known } = proposed;
  if (flags.json) return printJson({ bytes, graph: summariseGraph(read.graph), card, guesses, known, probe });
  const about = { ...proposed, guesses: guesses.filter((guess) => isOpen(guess, card)), card };
  print(describeModel(path, bytes, read.graph, about, flags.out));
  if (probe) print(describeProbe(probe));
}

/** Whether a sentence about fields is about one that is still assumed, or about what no probe can tell. */
function isOpen(guess: string, { assumed = [] }: ModelCard): boolean {
  const [fields] = guess.split(':');
  const isOfPixels = /scale|colour/.test(fields);
  return !isOfPixels || assumed.some((field) => fields.includes(field));
}

/** A card is edited by hand, so an older one is not overwritten. */
async function writeCard(file: string, card: ModelCard, flag: 'wx' | 'w' = 'wx'): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(card, null, 2)}\n`, { flag });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? 'it is there already: remove it first, or name another' : `of ${code}`;
    throw new StoplineError('OUTPUT_UNWRITABLE', `Expected to write "${file}" but ${reason}.`, { cause });
  }
}

function summariseGraph(graph: Graph) {
  const counts = new Map<string, number>();
  for (const { operator, domain } of graph.nodes) {
    const name = domain === '' ? operator : `${domain}.${operator}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return {
    producer: graph.producer,
    opset: graph.opset,
    nodes: graph.nodes.length,
    parameters: graph.parameters,
    operators: Object.fromEntries([...counts].sort(([, a], [, b]) => b - a)),
    inputs: graph.inputs,
    outputs: graph.outputs,
  };
}

function describeModel(
  path: string,
  bytes: number,
  graph: Graph,
  { card, guesses, known }: Pick<ProposedCard, 'card' | 'guesses' | 'known'>,
  out: string | undefined,
): string {
  const { producer, opset, nodes, parameters, operators } = summariseGraph(graph);
  const kinds = Object.entries(operators).map(([name, count]) => `${name} ${count}`);
  const { input, outputs } = card;
  const from = [producer && `from ${producer}`, opset > 0 && `opset ${opset}`].filter(Boolean).join(', ');
  const rows = [
    ['sha256', card.sha256],
    ['graph', `${nodes} nodes, ${parameters} parameters${from && `, ${from}`}`],
    ['operators', kinds.slice(0, 12).join(', ') + (kinds.length > 12 ? ', ...' : '')],
    ...graph.inputs.map((value) => ['input', `${value.name}: ${shapeText(value)}`]),
    ...graph.outputs.map((value) => ['output', `${value.name}: ${shapeText(value)}`]),
    [
      'fed with',
      `${[input.layout, input.type, `${input.width}x${input.height}`, input.channels === 1 ? 'luma' : input.colour].filter(Boolean).join(', ')}, ${pixelText(input)}`,
    ],
    ['content', outputs.content],
    ...(outputs.early.length > 0 ? [['early maps', outputs.early.join(', ')]] : []),
    ...(outputs.classes === undefined ? [] : [['classes', classTensors(outputs).join(', ')]]),
    ...(card.answers.length > 0 ? [['embedding', `${card.answers[0].dimension} numbers`]] : []),
  ].map((row) => row.map(printable));
  const lines = [`${styled('bold', printable(basename(path)))}  ${card.kind}, ${bytesText(bytes)}`, table(rows)];
  if (known.length > 0) lines.push(styled('bold', 'The file says'), ...known.map((fact) => `  - ${printable(fact)}`));
  lines.push(styled('bold', 'The graph does not say these; correct them in the card'));
  for (const guess of guesses) lines.push(`  - ${printable(guess)}`);
  lines.push(
    out === undefined
      ? `Write the card: ${commandLine('model', 'inspect', path, '--out', resolveCardPath(path))}`
      : `Card written to ${printable(out)}. After a change to it: ${commandLine('model', 'check', path, '--record')}`,
  );
  return lines.join('\n');
}

/** (pixel * scale - mean) / std, as short as it may be. */
function pixelText({ scale, mean, std }: ModelCard['input']): string {
  const number = (value: number) => String(Number(value.toPrecision(4)));
  const list = (values: readonly number[]) => [...new Set(values.map(number))].join(' ');
  return `(pixel x ${number(scale)} - ${list(mean)}) / ${list(std)}`;
}

interface CheckFlags {
  card?: string;
  confirm?: string[];
  device: 'cpu' | 'gpu';
  record?: boolean;
  json?: boolean;
}

async function checkModel(path: string, flags: CheckFlags): Promise<void> {
  const cardPath = flags.card ?? resolveCardPath(path);
  const card = readCard(cardPath);
  if (card === undefined)
    throw new StoplineError(
      'MODEL_CARD',
      `Expected a model card at "${cardPath}" but there is none. Make one: ${commandLine('model', 'inspect', path, '--out', cardPath)}`,
    );
  // Prepared and opened without the answers of the card, so that they are shown instead of thrown.
  const { model } = await prepareModel(path, {
    card: { ...card, answers: [] },
    limits: judgingOptions(loadConfig().config).limits,
  });
  if (flags.confirm) card.assumed = confirm(card, flags.confirm);
  if (flags.record) card.answers = model.answers;
  if (flags.record || flags.confirm) await writeCard(cardPath, card, 'w');
  const embedder = await openPrepared(model, { core: loadCore(), device: flags.device });
  const answers = await checkAnswers(embedder, card.answers);
  const frames = Object.values(knownFrames).map((generate) => generate());
  const start = performance.now();
  await embedder.embed(frames);
  const msPerImage = (performance.now() - start) / frames.length;
  await embedder.close();
  const ok = answers.every((answer) => answer.ok);
  const { runtime, provider, failed, dimension } = embedder.info;
  if (!ok) process.exitCode = 78;
  if (flags.json)
    return printJson({ ok, runtime, provider, failed, dimension, msPerImage, answers, assumed: card.assumed ?? [] });
  const rows = [
    ['runs on', `${runtime}, ${provider}`],
    ...failed.map(({ provider, reason }) => ['', `not ${provider}: ${printable(reason)}`]),
    ['embedding', `${dimension} numbers, ${msPerImage.toFixed(1)} ms an image`],
    ...(card.assumed?.length ? [['assumed', card.assumed.map(printable).join(', ')]] : []),
    ...answers.map(({ frame, difference, tolerance, ok }) => {
      const word = ok ? styled('green', 'ok') : styled('red', 'OTHER');
      return [`answer ${frame}`, `${word}: differs by ${difference.toPrecision(2)}, ${tolerance} is allowed`];
    }),
  ];
  const verdict = ok
    ? styled('green', 'The model gives its known answers.')
    : styled('red', 'The model gives other answers.');
  print([table(rows), answers.length === 0 ? 'The card has no known answers.' : verdict].join('\n'));
}

/**
 * What is still assumed when fields are confirmed.
 * @throws {StoplineError} OPTION_INVALID for a field that is not assumed
 */
function confirm({ assumed = [] }: ModelCard, fields: readonly string[]): string[] {
  if (fields.includes('all')) return [];
  const other = fields.find((field) => !assumed.includes(field));
  if (other !== undefined)
    throw new StoplineError(
      'OPTION_INVALID',
      `Expected fields that the card assumes (${assumed.join(', ') || 'it assumes none'}), or all, but received ${JSON.stringify(other)}.`,
    );
  return assumed.filter((field) => !fields.includes(field));
}
