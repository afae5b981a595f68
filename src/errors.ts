/**
 * The one table of coded errors. Users match on `code`; the text may change between versions.
 * `status` is what HTTP answers, `exit` what the command line exits with (sysexits where one fits).
 */
const table = {
  // images
  IMAGE_EMPTY: { status: 400, exit: 65, meaning: 'There are no bytes.' },
  IMAGE_UNSUPPORTED: {
    status: 415,
    exit: 65,
    meaning: 'The bytes are not a JPEG, PNG or WebP, or a kind of it that is not decoded, such as a 12-bit JPEG.',
  },
  IMAGE_CORRUPT: { status: 422, exit: 65, meaning: 'The image is damaged; the message says what is wrong or lost.' },
  IMAGE_TRUNCATED: { status: 422, exit: 65, meaning: 'The image ends too early.' },
  IMAGE_TOO_LARGE: { status: 413, exit: 65, meaning: 'More encoded bytes than allowed.' },
  IMAGE_TOO_MANY_PIXELS: { status: 422, exit: 65, meaning: 'More pixels, or a longer side, than allowed.' },
  IMAGE_TOO_SMALL: { status: 422, exit: 65, meaning: 'A side is shorter than 16 pixels.' },
  IMAGE_MASKED: {
    status: 422,
    exit: 65,
    meaning: 'A mask leaves less than a tenth of the image: it cannot be checked.',
  },
  IMAGE_ANIMATED: { status: 422, exit: 65, meaning: 'The file holds more than one frame.' },
  IMAGE_TOO_COMPLEX: {
    status: 422,
    exit: 65,
    meaning: 'Decoding would take too long: too many scans for the size, or the time limit passed.',
  },
  IMAGE_REFUSED: {
    status: 422,
    exit: 4,
    meaning: 'A gate that enforces refused the image: it is not like the reference.',
  },
  IMAGE_FATAL: {
    status: 422,
    exit: 65,
    meaning: 'Several workers died while they judged the image, so it was given up.',
  },
  IMAGE_CRASHED: {
    status: 422,
    exit: 65,
    meaning: 'The process that worked on the image crashed; others are not affected.',
  },
  FRAME_INVALID: {
    status: 400,
    exit: 65,
    meaning: 'The pixels, width, height and channels of a decoded frame do not fit together.',
  },
  // profiles
  PROFILE_UNREADABLE: { status: 500, exit: 78, meaning: 'The Profile file is missing or may not be read.' },
  PROFILE_INVALID: {
    status: 500,
    exit: 78,
    meaning: 'The file is not a Profile, or its contents do not fit the schema.',
  },
  PROFILE_TRUNCATED: { status: 500, exit: 78, meaning: 'The Profile file ends too early.' },
  PROFILE_CHECKSUM: { status: 500, exit: 78, meaning: 'The Profile was changed or damaged after it was written.' },
  PROFILE_SIGNATURE: {
    status: 500,
    exit: 78,
    meaning: 'The Profile is not signed by the key that the settings name.',
  },
  PROFILE_VERSION: {
    status: 500,
    exit: 78,
    meaning: 'The Profile was written by a version of Stopline that this one does not read; fit it again.',
  },
  PROFILE_RULE: { status: 500, exit: 78, meaning: 'The Profile was fitted under another decoding rule; fit it again.' },
  // fitting
  FIT_TOO_FEW_IMAGES: {
    status: 400,
    exit: 65,
    meaning: 'Too few distinct images to describe a population; the message says how many are needed.',
  },
  FIT_NO_VARIATION: { status: 400, exit: 65, meaning: 'The reference images are all alike.' },
  // models
  MODEL_UNREADABLE: { status: 500, exit: 78, meaning: 'The model file or its card is missing or may not be read.' },
  MODEL_TOO_LARGE: {
    status: 500,
    exit: 78,
    meaning: 'The model has more bytes, nodes or fields than any that could run beside every image.',
  },
  MODEL_TRUNCATED: { status: 500, exit: 78, meaning: 'The model file ends too early.' },
  MODEL_INVALID: { status: 500, exit: 78, meaning: 'The file is not a model of a kind that is read, or is broken.' },
  MODEL_EXTERNAL_DATA: { status: 500, exit: 78, meaning: 'The model wants to read its weights from another file.' },
  MODEL_OPERATOR: {
    status: 500,
    exit: 78,
    meaning:
      'The model uses an operator that is not let through: of an unknown domain, a loop, random, or compiled code.',
  },
  MODEL_UNSUPPORTED: {
    status: 500,
    exit: 78,
    meaning:
      'The model is sound but not one that takes a float32 image and gives float32 numbers, or needs another runtime.',
  },
  MODEL_CARD: { status: 500, exit: 78, meaning: 'The model card does not fit its schema, or not the model.' },
  MODEL_CHECKSUM: { status: 500, exit: 78, meaning: 'The model is not the one that its card or Profile was made for.' },
  MODEL_ANSWER: { status: 500, exit: 78, meaning: 'The model does not give the known answers of its card here.' },
  MODEL_FAILED: {
    status: 500,
    exit: 70,
    meaning:
      'The runtime cannot load or run the model, or its first load, in a process of its own, passed a limit or crashed.',
  },
  MODEL_RUNTIME: {
    status: 500,
    exit: 69,
    meaning: 'The package that runs such models is not installed; the message says what to type.',
  },
  // files and folders
  INPUT_NOT_FOUND: { status: 400, exit: 66, meaning: 'A path does not exist.' },
  INPUT_UNREADABLE: {
    status: 400,
    exit: 66,
    meaning: 'A path may not be read, or is a pipe, a device, a symbolic link that leads outside, or damaged.',
  },
  INPUT_NO_IMAGES: { status: 400, exit: 66, meaning: 'No image files under the paths.' },
  INPUT_LEFT_OUT: { status: 400, exit: 65, meaning: 'Something was not looked at, and `--strict` was given.' },
  OUTPUT_UNWRITABLE: {
    status: 500,
    exit: 73,
    meaning: 'The output cannot be written; whatever stood there before is left as it was.',
  },
  MANIFEST_INVALID: { status: 400, exit: 65, meaning: 'The manifest is not what its ending says, or lacks a path.' },
  VIDEO_UNAVAILABLE: { status: 500, exit: 69, meaning: 'A video is to be read but ffmpeg cannot be started.' },
  CAMERA_UNREACHABLE: {
    status: 502,
    exit: 69,
    meaning:
      'A camera that is watched cannot be reached, refuses the password, sends no images, or its stream ended. It is tried again.',
  },
  OBJECTS_UNAVAILABLE: {
    status: 503,
    exit: 75,
    meaning: 'The object store does not answer, or with a fault of its own; what is done is kept, so resume later.',
  },
  PACKAGE_MISSING: {
    status: 500,
    exit: 69,
    meaning: 'An optional package is not installed; the message says what to type.',
  },
  // jobs
  JOB_EXISTS: { status: 400, exit: 2, meaning: 'A run with this output did not end: resume it, or remove its file.' },
  JOB_CHANGED: {
    status: 400,
    exit: 65,
    meaning: 'The run that is to be resumed was begun with other images, another Profile or other options.',
  },
  JOB_BUSY: { status: 503, exit: 75, meaning: 'Another process works on this run.' },
  JOB_INVALID: { status: 400, exit: 65, meaning: 'The file of a run is damaged or of another version.' },
  JOB_UNWRITABLE: {
    status: 500,
    exit: 74,
    meaning:
      'Rows cannot be saved: the disk is full or fails. What was saved before is kept; resume when there is room.',
  },
  PART_INVALID: {
    status: 400,
    exit: 65,
    meaning: 'Parts cannot be joined: one is not whole, they do not fit together, or an image is in two of them.',
  },
  QUEUE_FAILED: {
    status: 500,
    exit: 75,
    meaning: 'Workers gave up on some work of the queue; the message says why. The same command tries those again.',
  },
  BROKER_UNAVAILABLE: {
    status: 503,
    exit: 69,
    meaning: 'The message broker cannot be reached, or lacks the stream or right that is needed.',
  },
  // the store of a service
  STATE_UNUSABLE: {
    status: 500,
    exit: 78,
    meaning:
      'The state folder cannot be made or written, another process has it, or its store was written by a newer version.',
  },
  STORE_UNAVAILABLE: {
    status: 503,
    exit: 74,
    meaning:
      'What is stored cannot be read or written for now, for a full or broken disk, say; images are judged still.',
  },
  // settings and requests
  OPTION_INVALID: { status: 400, exit: 2, meaning: 'A setting, option or argument has a value that it cannot have.' },
  REQUEST_INVALID: {
    status: 400,
    exit: 2,
    meaning: 'The request is not what its Content-Type says: broken JSON, base64 or multipart, or no file.',
  },
  REQUEST_TOO_LARGE: { status: 413, exit: 65, meaning: 'The body is larger than the limit of the service.' },
  REQUEST_TYPE: { status: 415, exit: 65, meaning: 'The Content-Type is none that is taken.' },
  REQUEST_TIMEOUT: { status: 408, exit: 75, meaning: 'The request did not arrive whole in time.' },
  KEY_MISSING: { status: 401, exit: 77, meaning: 'The request carries no API key, or none that is known.' },
  KEY_SCOPE: { status: 403, exit: 77, meaning: 'The API key is not for this.' },
  HOST_UNKNOWN: {
    status: 421,
    exit: 77,
    meaning:
      'The request is for a host name that this service does not answer for; the setting allowedHost names them.',
  },
  SITE_FOREIGN: {
    status: 403,
    exit: 77,
    meaning: 'A page of another site sent the request, or a page that lacks the token of this service.',
  },
  RATE_LIMITED: {
    status: 429,
    exit: 75,
    meaning: 'This address sent more requests in a second than one may; come back after Retry-After.',
  },
  UNINSPECTED: {
    status: 422,
    exit: 65,
    meaning: 'A request to a gate holds no image that it can inspect.',
  },
  SOURCE_UNKNOWN: { status: 404, exit: 2, meaning: 'No image of this source has come.' },
  ITEM_UNKNOWN: { status: 404, exit: 2, meaning: 'There is no such image in the quarantine, or no longer.' },
  ROUTE_UNKNOWN: { status: 404, exit: 2, meaning: 'There is no such route.' },
  METHOD_UNKNOWN: { status: 405, exit: 2, meaning: 'The route is there, but takes other methods: Allow names them.' },
  UPGRADE_UNKNOWN: {
    status: 501,
    exit: 69,
    meaning: 'The client asks for another protocol, such as WebSocket, which a gate does not pass on.',
  },
  // the machinery
  RUNTIME_UNSAFE: {
    status: 500,
    exit: 78,
    meaning:
      'A package older than the first safe version, a decoder that should be blocked and is not, or an open address without API keys.',
  },
  OVERLOADED: {
    status: 503,
    exit: 75,
    meaning: 'An image would have to wait too long, or too many bytes are held already; come back after Retry-After.',
  },
  VERDICT_TIMEOUT: {
    status: 503,
    exit: 75,
    meaning: 'The verdict on an image was not there in time.',
  },
  CLOSED: { status: 503, exit: 75, meaning: 'The service or pool is shutting down.' },
  UPSTREAM_UNREACHABLE: { status: 502, exit: 69, meaning: 'The upstream of a gate does not take connections.' },
  UPSTREAM_BROKEN: {
    status: 502,
    exit: 69,
    meaning: 'The upstream of a gate broke the connection or does not speak HTTP. The request is not sent again.',
  },
  UPSTREAM_TIMEOUT: { status: 504, exit: 69, meaning: 'The upstream of a gate did not answer in time.' },
  UPSTREAM_DOWN: {
    status: 503,
    exit: 69,
    meaning:
      'The upstream of a gate failed again and again, so it is not asked for a moment; come back after Retry-After.',
  },
  CORE_UNAVAILABLE: { status: 500, exit: 70, meaning: 'No build of the C core loads, or not the one asked for.' },
  INTERNAL: { status: 500, exit: 70, meaning: 'A fault of Stopline, or a worker thread that died.' },
} as const;

export type ErrorName = keyof typeof table;
/** The code of an error: `STOPLINE_ERR_` and a name of `errorTable`. Codes stay; messages may change. */
export type ErrorCode = `STOPLINE_ERR_${ErrorName}`;

/** An error as HTTP answers, rows and messages between processes carry it. */
export interface ErrorJson {
  code: string;
  message: string;
}

/** Every error Stopline raises on purpose. */
export class StoplineError extends Error {
  override readonly name = 'StoplineError';
  readonly code: ErrorCode;
  /** HTTP status of an answer that carries this error. */
  readonly status: number;
  /** Exit code of a command that ends with this error. */
  readonly exit: number;

  /**
   * @param name key of the table, without the `STOPLINE_ERR_` prefix
   * @param message what was expected and what came, and where it helps, the command to type next
   */
  constructor(name: ErrorName, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = `STOPLINE_ERR_${name}`;
    this.status = table[name].status;
    this.exit = table[name].exit;
  }

  /** The shape in which every leaf (HTTP, JSONL, CLI) shows an error. */
  toJSON(): ErrorJson & { code: ErrorCode } {
    return { code: this.code, message: this.message };
  }
}

/** What a library says, as a sentence: on one line and with a full stop at its end. */
export function endSentence(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

/** All codes with their status, exit code and meaning, for the documentation and the OpenAPI description. */
export const errorTable: ReadonlyArray<{ code: ErrorCode; status: number; exit: number; meaning: string }> =
  Object.entries(table).map(([name, entry]) => ({ code: `STOPLINE_ERR_${name as ErrorName}`, ...entry }));

/** Rebuilds an error that crossed a thread or process border, where only its JSON arrives. */
export function reviveError(json: ErrorJson): StoplineError {
  const name = json.code.replace('STOPLINE_ERR_', '');
  return new StoplineError(Object.hasOwn(table, name) ? (name as ErrorName) : 'INTERNAL', json.message);
}

/** Wraps anything thrown: coded errors pass through, the rest becomes `INTERNAL` with its cause kept. */
export function asStoplineError(error: unknown): StoplineError {
  if (error instanceof StoplineError) return error;
  return new StoplineError('INTERNAL', endSentence(error instanceof Error ? error.message : String(error)), {
    cause: error,
  });
}
