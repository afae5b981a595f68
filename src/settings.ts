import { availableParallelism } from 'node:os';
import type { Static, TSchema } from 'typebox';
import { Type } from './schema.ts';

/** How a request is wrapped; `gate/protocols/` has what each means. */
const protocolNames = ['oip', 'tfserving', 'torchserve', 'image', 'find', 'pass'] as const;
export type ProtocolName = (typeof protocolNames)[number];

/** How pixels were turned into the numbers of a tensor: (pixel * scale - mean) / deviation. */
const tensorSchema = Type.Object(
  {
    layout: Type.Optional(Type.Enum(['NHWC', 'NCHW'], { description: 'Default: where a side of 1, 3 or 4 stands.' })),
    order: Type.Optional(Type.Enum(['RGB', 'BGR'], { description: 'Order of the colours; default RGB.' })),
    scale: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'Default 1/255.' })),
    mean: Type.Optional(Type.Array(Type.Number(), { minItems: 1, maxItems: 4, description: 'One, or one a channel.' })),
    deviation: Type.Optional(Type.Array(Type.Number({ exclusiveMinimum: 0 }), { minItems: 1, maxItems: 4 })),
  },
  { additionalProperties: false },
);

export type TensorOptions = Static<typeof tensorSchema>;

/** Names of cameras become rows, file names and labels, so they are kept short and plain. */
export const sourcePattern = /^[\w.:-]{1,128}$/;

/** One path of the upstream and how requests to it are judged. */
const routeSchema = Type.Object(
  {
    path: Type.String({
      minLength: 1,
      maxLength: 1000,
      pattern: '^/',
      description: 'Path of the upstream; `*` stands for any text without a slash.',
    }),
    protocol: Type.Enum([...protocolNames]),
    input: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Name of the tensor or field that holds the image.' }),
    ),
    tensor: Type.Optional(tensorSchema),
    mode: Type.Optional(Type.Enum(['observe', 'enforce'])),
    onError: Type.Optional(Type.Enum(['open', 'closed'])),
    share: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    partial: Type.Optional(Type.Boolean()),
    verdictTimeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 600_000 })),
    source: Type.Optional(
      Type.String({ pattern: sourcePattern.source, description: 'Camera of requests that name none.' }),
    ),
  },
  { additionalProperties: false },
);

/** One entry of `routes`: a path, the protocol spoken there, and what is different about it; docs/gate.md has the fields. */
export type Route = Static<typeof routeSchema>;

/** ISO 8601 with a zone: without one it would mean another moment on another machine. */
const timePattern = '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,3})?)?(Z|[+-]\\d\\d:\\d\\d)$';

/** One entry of `cameras`: where it is, and how often it is looked at. */
const cameraSchema = Type.Object(
  {
    name: Type.String({ pattern: sourcePattern.source, description: 'Source that its images are counted under.' }),
    address: Type.String({ minLength: 1, maxLength: 2000, description: 'URL, device or path.' }),
    everyMs: Type.Optional(Type.Integer({ minimum: 20, maximum: 86_400_000 })),
    keyframes: Type.Optional(
      Type.Boolean({ description: 'Decode only the frames of a video that stand alone: a small part of the work.' }),
    ),
  },
  { additionalProperties: false },
);

/** A camera that the service watches by itself; docs/watch.md has the fields. */
export type CameraSetting = Static<typeof cameraSchema>;

/** One entry of `maintenance`: which sources, and once (`from`, `to`) or again and again (`cron`, `minutes`). */
const maintenanceSchema = Type.Object(
  {
    sources: Type.Optional(
      Type.Array(Type.String({ pattern: '^[\\w.:*-]{1,128}$' }), {
        minItems: 1,
        maxItems: 1000,
        description: 'Names of sources; `*` stands for any text. Default: all.',
      }),
    ),
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    from: Type.Optional(Type.String({ pattern: timePattern, description: 'With a zone, as 2026-12-01T08:00Z.' })),
    to: Type.Optional(Type.String({ pattern: timePattern })),
    cron: Type.Optional(
      Type.String({ minLength: 9, maxLength: 200, description: 'When it begins: minute, hour, day, month, weekday.' }),
    ),
    minutes: Type.Optional(Type.Integer({ minimum: 1, maximum: 7 * 24 * 60, description: 'How long it lasts.' })),
    timezone: Type.Optional(
      Type.String({ minLength: 1, maxLength: 100, description: 'Default: that of the service.' }),
    ),
  },
  { additionalProperties: false },
);

/** A time in which sources are judged and nobody is told; docs/watch.md has the fields. */
export type MaintenanceSetting = Static<typeof maintenanceSchema>;

/** One entry of `masks`: what counts nowhere in the images of which sources. */
const maskSchema = Type.Object(
  {
    sources: Type.Optional(
      Type.Array(Type.String({ pattern: '^[\\w.:*-]{1,128}$' }), {
        minItems: 1,
        maxItems: 1000,
        description: 'Names of sources; `*` stands for any text. Default: all.',
      }),
    ),
    mask: Type.String({
      minLength: 1,
      maxLength: 10_000,
      description: 'A picture in which black does not count, or areas: as of `fit --mask`.',
    }),
  },
  { additionalProperties: false },
);

/** A part of the images of some sources that counts nowhere; docs/watch.md has the fields. */
export type MaskSetting = Static<typeof maskSchema>;

const MiB = 1024 * 1024;

/** What images are judged against, and what decides. */
const judgingSettings = {
  profile: Type.Optional(Type.String({ minLength: 1, description: 'Profile file that images are judged against.' })),
  profileKey: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'PEM file of the public key that must have signed the Profile (`stopline profile sign`).',
    }),
  ),
  watchProfile: Type.Boolean({
    default: true,
    description: 'Look at the Profile file every second, and judge by another one when it has been replaced.',
  }),
  decideBy: Type.Enum(['combined', 'capture', 'content'], {
    default: 'combined',
    description:
      'Detector that decides the verdict: capture (was the image taken as the reference was?), content (does it show what the reference shows?), or both combined.',
  }),
  ignore: Type.Optional(
    Type.Array(
      Type.String({ pattern: '^[A-Za-z]{1,64}$', expects: 'the name of a property such as size or encoder' }),
      {
        minItems: 1,
        maxItems: 100,
        description:
          'Properties of the file that count for nothing, separated by commas, such as size,encoder where images come from elsewhere on purpose.',
      },
    ),
  ),
  blockWhen: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Rule by which a verdict blocks, in place of the promised rate: expectedFlipRate, pValue or score compared by > >= < <= with a number, joined by and, or; such as "expectedFlipRate > 10%".',
    }),
  ),
  model: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'File of the model that the Profile was fitted with, where it is not that of this package.',
    }),
  ),
};

/** Where the service listens, who may use it, and what it logs. */
const serviceSettings = {
  host: Type.String({ minLength: 1, default: '127.0.0.1', description: 'Address the service listens on.' }),
  port: Type.Integer({ minimum: 0, maximum: 65535, default: 8080, description: 'TCP port; 0 takes a free one.' }),
  tlsCert: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'PEM file of the certificate chain: the service then speaks HTTPS only.',
    }),
  ),
  tlsKey: Type.Optional(Type.String({ minLength: 1, description: 'PEM file of the private key of `tlsCert`.' })),
  apiKeys: Type.Optional(
    Type.Array(
      Type.String({
        pattern: '^(inspect|read|admin)(\\+(inspect|read|admin))*:[0-9a-f]{64}$',
        expects: 'scopes and a hash, as `stopline key` prints them',
      }),
      {
        minItems: 1,
        maxItems: 1000,
        // The mark of JSON Schema for what may be given and is never shown: somebody will put the key itself here.
        writeOnly: true,
        description:
          'Hashes of the API keys that are let in, each as scopes:sha256 (`stopline key` makes one), separated by commas; required unless the host is a loopback address.',
      },
    ),
  ),
  allowAnonymous: Type.Boolean({
    default: false,
    description: 'Listen on any address without API keys; only behind something that lets in nobody else.',
  }),
  allowedHost: Type.Optional(
    Type.Array(Type.String({ pattern: '^(\\*|[A-Za-z0-9._:\\[\\]-]{1,253})$', expects: 'a host name, or * for any' }), {
      minItems: 1,
      maxItems: 1000,
      description:
        'Host names that the service answers for besides addresses, names of one word, .internal and .localhost, and sites whose pages may ask, separated by commas; * for any. Without API keys a name that is not listed is refused: a page of another site may have pointed it here.',
    }),
  ),
  trustedRequestId: Type.Boolean({
    default: false,
    description: 'Take the request id from the x-request-id header; only behind a proxy that sets it.',
  }),
  sourceHeader: Type.String({
    minLength: 1,
    pattern: '^[a-z0-9-]+$',
    expects: 'the name of a header: small letters, digits and hyphens',
    default: 'x-stopline-source',
    description: 'Header, in lower case, that names the camera an image comes from.',
  }),
  logLevel: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'Least severe level that is logged, on standard output.',
  }),
  logFormat: Type.Enum(['auto', 'json', 'pretty'], {
    default: 'auto',
    description: 'JSON lines for programs, or lines for people; auto is the latter on a terminal alone.',
  }),
  drainTimeoutMs: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 10_000,
    description: 'Time that requests in flight have to finish after SIGTERM or SIGINT.',
  }),
};

/** What one image or one client may cost; beyond it, the answer is an error and not a wait. */
const limitSettings = {
  maxModelBytes: Type.Integer({
    minimum: 1,
    maximum: 2_000_000_000,
    default: 200 * MiB,
    description: 'Largest model in bytes, with its weights.',
  }),
  maxModelNodes: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 20_000,
    description: 'Most operators of a model.',
  }),
  maxPixels: Type.Integer({
    minimum: 1,
    maximum: 1_000_000_000,
    default: 40_000_000,
    description: 'Largest image in pixels; a progressive or interlaced one may never have more than 24 million.',
  }),
  maxSide: Type.Integer({
    minimum: 1,
    maximum: 65_535,
    default: 16_384,
    description: 'Longest side of an image in pixels.',
  }),
  maxImageMs: Type.Integer({
    minimum: 100,
    maximum: 600_000,
    default: 2000,
    description:
      'A process that uses more processor time than this on one image is ended, and the image is refused with 422.',
  }),
  maxWaitMs: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 500,
    description:
      'An image that would wait longer than this for a free worker is refused with 503. It is expected from the time that images took of late; under a sudden load they take longer.',
  }),
  bodyLimit: Type.Integer({
    minimum: 1024,
    maximum: 1024 * MiB,
    default: 32 * MiB,
    description: 'Largest request body, and largest image wherever it lies, in bytes.',
  }),
  bufferLimit: Type.Integer({
    minimum: 1024,
    maximum: 64 * 1024 * MiB,
    default: 96 * MiB,
    description: 'Most bytes of request bodies held in memory at once; beyond it requests are refused with 503.',
  }),
  headersTimeoutMs: Type.Integer({
    minimum: 100,
    maximum: 600_000,
    default: 5000,
    description: 'A connection that has not sent its headers by then gets 408.',
  }),
  requestTimeoutMs: Type.Integer({
    minimum: 100,
    maximum: 600_000,
    default: 15_000,
    description: 'A connection that has not sent its whole request by then gets 408.',
  }),
  peerRate: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    default: 0,
    description:
      'Most requests in a second from one address, beyond which it gets 429, and as many calls of gRPC, beyond which it gets RESOURCE_EXHAUSTED; 0 for no bound.',
  }),
};

/** What the work runs on. */
const runtimeSettings = {
  threads: Type.Integer({
    minimum: 1,
    maximum: 256,
    default: availableParallelism(),
    description: 'Worker threads that decode and measure images; the default is the number of cores.',
  }),
  isolation: Type.Enum(['process', 'thread'], {
    default: 'process',
    description:
      'Whether each worker is a process, so that an image that crashes or hangs a decoder costs nothing but its own verdict, and one more is kept ready, or a thread, which saves memory.',
  }),
  core: Type.Enum(['auto', 'native', 'wasm'], {
    default: 'auto',
    description: 'Build of the C core: the fastest that loads, or only the one named.',
  }),
  device: Type.Enum(['cpu', 'gpu'], {
    default: 'cpu',
    description:
      'Where networks are run: gpu tries CUDA, TensorRT and WebGPU, whose answers must be those of the CPU, and falls back to it.',
  }),
};

/** A service with `upstream` stands in front of a model server and decides what reaches it. */
const gateSettings = {
  upstream: Type.Optional(
    Type.String({
      pattern: '^https?://[^/?#]+(/[^?#]*)?$',
      expects: 'an address such as http://127.0.0.1:8000, without a query',
      description: 'Address of the model server that this service is a gate for: what it lets through goes there.',
    }),
  ),
  grpcUpstream: Type.Optional(
    Type.String({
      pattern: '^grpcs?://[^/?#]+(/[^?#]*)?$',
      expects: 'an address such as grpc://127.0.0.1:8001, or grpcs:// with TLS',
      description:
        'Address of the gRPC model server that this service is a gate for at `grpcPort`: Open Inference Protocol, TensorFlow Serving, or any other.',
    }),
  ),
  grpcPort: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65535,
      description:
        'TCP port for gRPC: the calls that go to `grpcUpstream`, and Envoy asking whether a request may pass (ext_authz). Default: 8081 with `grpcUpstream`, else none; 0 takes a free one.',
    }),
  ),
  routes: Type.Optional(
    Type.Array(routeSchema, {
      maxItems: 100,
      description:
        'Paths and gRPC methods of the upstream that carry images, and how each is judged; docs/gate.md has the fields.',
    }),
  ),
  mode: Type.Enum(['observe', 'enforce'], {
    default: 'observe',
    description: 'Whether a gate lets everything through and reports, or refuses images with the verdict block.',
  }),
  onError: Type.Enum(['open', 'closed'], {
    default: 'open',
    description: 'Whether a gate that enforces lets through what cannot be judged (open) or refuses it (closed).',
  }),
  needsProfile: Type.Boolean({
    default: false,
    description:
      'Whether an open gate without a Profile that it can use is not ready; else it is ready and says `degraded`, because it lets everything through unjudged.',
  }),
  share: Type.Number({
    minimum: 0,
    maximum: 1,
    default: 1,
    description: 'Share of the requests to a gate that are judged; the others are let through.',
  }),
  partial: Type.Boolean({
    default: false,
    description: 'Of a batch with refused images, forward the others and name the refused ones in x-stopline-refused.',
  }),
  verdictTimeoutMs: Type.Integer({
    minimum: 1,
    maximum: 600_000,
    default: 2000,
    description: 'Time that a gate waits for a verdict; a later one counts as an error.',
  }),
  upstreamTimeoutMs: Type.Integer({
    minimum: 1,
    maximum: 3_600_000,
    default: 30_000,
    description: 'Time that the upstream has to begin its answer, and between two pieces of it.',
  }),
  breakerFailures: Type.Integer({
    minimum: 1,
    maximum: 1000,
    default: 5,
    description: 'Failures of the upstream in a row, or any for a second, after which it is not asked for a moment.',
  }),
  breakerRetryMs: Type.Integer({
    minimum: 10,
    maximum: 600_000,
    default: 1000,
    description: 'How long that moment is: then one request is let through to see whether the upstream is back.',
  }),
};

/** Cameras whose images the service fetches by itself. */
const cameraSettings = {
  masks: Type.Optional(
    Type.Array(maskSchema, {
      minItems: 1,
      maxItems: 1000,
      description:
        'Parts of the images of sources that count nowhere and that no kept picture shows: a picture, or rectangles and polygons; docs/watch.md has the fields.',
    }),
  ),
  cameras: Type.Optional(
    Type.Array(cameraSchema, {
      minItems: 1,
      maxItems: 1000,
      writeOnly: true, // addresses hold passwords
      description:
        'Cameras that the service watches: rtsp://, http(s)://, /dev/video0 or a clip, each with a name; docs/watch.md has the fields.',
    }),
  ),
  cameraEveryMs: Type.Integer({
    minimum: 20,
    maximum: 86_400_000,
    default: 1000,
    description: 'One image of each camera in so many milliseconds, unless its entry says otherwise.',
  }),
  cameraStallMs: Type.Integer({
    minimum: 100,
    maximum: 3_600_000,
    default: 10_000,
    description: 'A camera that sends no image for so long, beyond `cameraEveryMs`, is left and connected to again.',
  }),
};

/** How each source of images is watched. */
const driftSettings = {
  falseAlarmEvery: Type.Integer({
    minimum: 100,
    maximum: 1_000_000_000,
    default: 10_000,
    description: 'Promise of the monitors: at most one false alarm in so many images of a source, on average.',
  }),
  staleAfterMs: Type.Integer({
    minimum: 100,
    maximum: 30 * 24 * 3_600_000,
    default: 300_000,
    description: 'A source of which no image has come for so long is stale.',
  }),
  freezeAfter: Type.Integer({
    minimum: 2,
    maximum: 1_000_000,
    default: 10,
    description: 'A source that sends the same picture so many times in a row is frozen.',
  }),
  maxSources: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 10_000,
    description:
      'Most sources that are watched; images of further ones count as of the source `other`, until one has been silent for a day.',
  }),
  redis: Type.Optional(
    Type.String({
      pattern: '^rediss?://',
      expects: 'an address such as redis://host:6379',
      writeOnly: true,
      description:
        'Address of a Redis or Valkey, such as redis://127.0.0.1:6379, by which all replicas watch each source together; needs the package ioredis.',
    }),
  ),
};

/** Where it is told that the alarm of a source begins or ends, and when. */
const alertSettings = {
  alertAfterMs: Type.Integer({
    minimum: 0,
    maximum: 24 * 3_600_000,
    default: 0,
    description: 'A source must be in an alarm for so long before anybody is told.',
  }),
  alertRecoverMs: Type.Integer({
    minimum: 0,
    maximum: 24 * 3_600_000,
    default: 0,
    description: 'A source must be well for so long before anybody is told that its alarm is over.',
  }),
  maintenance: Type.Optional(
    Type.Array(maintenanceSchema, {
      minItems: 1,
      maxItems: 1000,
      description:
        'Times in which sources are judged and nobody is told, from and to or by cron; docs/watch.md has the fields.',
    }),
  ),
  alertWebhook: Type.Optional(
    Type.String({
      pattern: '^https?://',
      expects: 'an address such as https://127.0.0.1 or http://127.0.0.1:9000',
      writeOnly: true, // such addresses often hold a token
      description: 'Address that gets a CloudEvent by POST when the alarm of a source begins or ends.',
    }),
  ),
  alertSecret: Type.Optional(
    Type.String({
      minLength: 16,
      writeOnly: true,
      description: 'Secret that what goes to `alertWebhook` is signed with, by the Standard Webhooks specification.',
    }),
  ),
  alertSlack: Type.Optional(
    Type.String({
      pattern: '^https?://',
      expects: 'an address such as https://127.0.0.1 or http://127.0.0.1:9000',
      writeOnly: true,
      description: 'Incoming webhook of Slack, Mattermost or the like that gets the same as text.',
    }),
  ),
  alertmanager: Type.Optional(
    Type.String({
      pattern: '^https?://',
      expects: 'an address such as https://127.0.0.1 or http://127.0.0.1:9000',
      writeOnly: true,
      description: 'Address of an Alertmanager that alarms are pushed to, such as http://127.0.0.1:9093.',
    }),
  ),
  alertMqtt: Type.Optional(
    Type.String({
      pattern: '^mqtts?://',
      expects: 'an address such as mqtt://user:password@127.0.0.1:1883',
      writeOnly: true,
      description:
        'MQTT broker that is told the state of every source as a retained message, such as mqtt://127.0.0.1:1883; needs the package mqtt.',
    }),
  ),
  alertMqttTopic: Type.String({
    pattern: '^[^\\s#+/]+(/[^\\s#+/]+)*$',
    expects: 'a topic such as stopline or site/stopline, without # and +',
    default: 'stopline',
    description: 'Where the topics of `alertMqtt` begin.',
  }),
  alertMqttDiscovery: Type.Optional(
    Type.String({
      pattern: '^[^\\s#+/]+(/[^\\s#+/]+)*$',
      expects: 'a topic such as homeassistant, without # and +',
      description: 'Prefix under which Home Assistant finds every source by itself, which is homeassistant there.',
    }),
  ),
};

/** What the service keeps of its verdicts. */
const historySettings = {
  stateDir: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Folder for what outlasts a restart: the monitors of all sources, the history of verdicts, alerts not yet delivered. Without it they are in memory only.',
    }),
  ),
  historyRows: Type.Integer({
    minimum: 0,
    maximum: 100_000_000,
    default: 200_000,
    description: 'Most verdicts that the history keeps, of about 400 bytes each; in memory at most 20,000.',
  }),
  historyDays: Type.Integer({
    minimum: 1,
    maximum: 3650,
    default: 30,
    description: 'No verdict stays in the history for longer.',
  }),
};

/** Which images that were warned of or blocked are kept to be looked at. */
const quarantineSettings = {
  quarantine: Type.Optional(
    Type.String({
      minLength: 1,
      description:
        'Folder, or s3://bucket/prefix, in which images that were warned of or blocked are kept, with their verdicts, to be looked at.',
    }),
  ),
  quarantineShare: Type.Number({
    minimum: 0,
    maximum: 1,
    default: 1,
    description: 'Share of those images that is kept.',
  }),
  quarantineImages: Type.Integer({
    minimum: 1,
    maximum: 1_000_000,
    default: 10_000,
    description: 'Most images that are kept; the oldest go first.',
  }),
  quarantineBytes: Type.Integer({
    minimum: 1024,
    maximum: Number.MAX_SAFE_INTEGER,
    default: 1024 * MiB,
    description: 'Most bytes of images that are kept.',
  }),
  quarantineDays: Type.Integer({
    minimum: 1,
    maximum: 3650,
    default: 30,
    description: 'How long an image is kept.',
  }),
};

/** Where `score`, `fit`, `worker` and `consume` find images and share their work. */
const runSettings = {
  s3Endpoint: Type.Optional(
    Type.String({
      pattern: '^https?://',
      expects: 'an address such as https://127.0.0.1 or http://127.0.0.1:9000',
      description: 'Address of the object store behind s3:// URLs, where it is not that of AWS.',
    }),
  ),
  queue: Type.Optional(
    Type.String({
      pattern: '^rediss?://',
      expects: 'an address such as redis://host:6379',
      description: 'Redis or Valkey that hands out the work of score --queue to workers, such as redis://host:6379.',
    }),
  ),
  queueSecret: Type.Optional(
    Type.String({
      minLength: 16,
      writeOnly: true,
      expects: 'a text of at least 16 characters',
      description:
        'Secret that the work on a queue is signed with, the same for score and its workers; needed unless Redis is on this machine.',
    }),
  ),
  queueStalledMs: Type.Integer({
    minimum: 1000,
    maximum: 3_600_000,
    default: 30_000,
    description: 'A worker or consumer that has been silent for so long is taken for dead; its work goes to another.',
  }),
  broker: Type.Optional(
    Type.String({
      pattern: '^(nats|mqtts?|rediss?|kafkas?)://',
      expects: 'an address such as nats://host:4222, mqtt://host, redis://host or kafka://host:9092',
      description: 'Message broker that consume takes images from, such as nats://host:4222.',
    }),
  ),
};

/** The settings by concern, in the order in which the documentation, `--help` and `--print-config` show them. */
export const settingGroups = [
  {
    name: 'judging',
    title: 'Judging',
    about: 'What images are judged against, and what decides.',
    settings: judgingSettings,
  },
  {
    name: 'service',
    title: 'Service',
    about: 'Where the service listens, who may use it, and what it logs.',
    settings: serviceSettings,
  },
  {
    name: 'limits',
    title: 'Limits',
    about: 'What one image or one client may cost; beyond it, the answer is an error and not a wait.',
    settings: limitSettings,
  },
  { name: 'runtime', title: 'Runtime', about: 'What the work runs on.', settings: runtimeSettings },
  {
    name: 'gate',
    title: 'Gate',
    about: 'A service with `upstream` stands in front of a model server and decides what reaches it.',
    settings: gateSettings,
  },
  {
    name: 'cameras',
    title: 'Cameras',
    about: 'Cameras whose images the service fetches by itself.',
    settings: cameraSettings,
  },
  { name: 'drift', title: 'Drift', about: 'How each source of images is watched.', settings: driftSettings },
  {
    name: 'alerts',
    title: 'Alerts',
    about: 'Where it is told that the alarm of a source begins or ends, and when.',
    settings: alertSettings,
  },
  { name: 'history', title: 'History', about: 'What the service keeps of its verdicts.', settings: historySettings },
  {
    name: 'quarantine',
    title: 'Quarantine',
    about: 'Which images that were warned of or blocked are kept to be looked at.',
    settings: quarantineSettings,
  },
  {
    name: 'runs',
    title: 'Runs over many images',
    about: 'Where `score`, `fit`, `worker` and `consume` find images and share their work.',
    settings: runSettings,
  },
] as const;

type SettingGroup = (typeof settingGroups)[number];

/** Every setting of Stopline: type, bounds, default and meaning. The command line, the docs and the checks are made from it. */
const configSchema = Type.Object(
  {
    ...judgingSettings,
    ...serviceSettings,
    ...limitSettings,
    ...runtimeSettings,
    ...gateSettings,
    ...cameraSettings,
    ...driftSettings,
    ...alertSettings,
    ...historySettings,
    ...quarantineSettings,
    ...runSettings,
  },
  { additionalProperties: false },
);

/** Settings in force. Durations in milliseconds, sizes in bytes. */
export type Config = Static<typeof configSchema>;
export type ConfigKey = keyof Config;

/** Whether a service stands in front of a model server: then it also starts where it has nothing to judge by. */
export function hasUpstream({ upstream, grpcUpstream }: Config): boolean {
  return upstream !== undefined || grpcUpstream !== undefined;
}

/** One setting as the command line and the documentation show it. */
export interface Setting {
  key: ConfigKey;
  /** The concern that it belongs to. */
  group: SettingGroup;
  /** Name in the environment, such as `STOPLINE_MAX_WAIT_MS`. */
  env: string;
  /** Name on the command line, such as `--max-wait-ms`. */
  flag: string;
  /** What a value must be, in words. */
  expects: string;
  description: string;
  default: unknown;
}

export const schemas = configSchema.properties as unknown as Record<ConfigKey, TSchema & Record<string, unknown>>;

/** A number from 0 to 1 may also be written in percent. */
export function isShare(schema: Record<string, unknown>): boolean {
  return schema.type === 'number' && schema.minimum === 0 && schema.maximum === 1;
}

function expectation(schema: Record<string, unknown>): string {
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.join(', ')}`;
  if (schema.type === 'integer') return `an integer from ${schema.minimum} to ${schema.maximum}`;
  if (isShare(schema)) return 'a share from 0 to 1, or from 0% to 100%';
  if (schema.type === 'number') return `a number from ${schema.minimum} to ${schema.maximum}`;
  if (schema.type === 'boolean') return 'true or false';
  if (schema.type === 'object') return `an object in JSON with ${Object.keys(schema.properties as object).join(', ')}`;
  if (schema.type === 'array') {
    const item = schema.items as Record<string, unknown>;
    return `a list of up to ${schema.maxItems}, each ${expectation(item)}`;
  }
  if (schema.expects !== undefined) return String(schema.expects);
  if (schema.pattern !== undefined) return `a text that fits ${schema.pattern}`;
  return 'a text that is not empty';
}

function words(key: string, separator: string): string {
  return key.replace(/[A-Z]/g, (letter) => `${separator}${letter.toLowerCase()}`);
}

/** All settings, group by group. */
export const settings: readonly Setting[] = settingGroups.flatMap((group) =>
  (Object.keys(group.settings) as ConfigKey[]).map((key) => ({
    key,
    group,
    env: `STOPLINE_${words(key, '_').toUpperCase()}`,
    flag: `--${words(key, '-')}`,
    expects: expectation(schemas[key]),
    description: String(schemas[key].description),
    default: schemas[key].default,
  })),
);
