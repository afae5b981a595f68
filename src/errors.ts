/**
 * The one table of coded errors. Users match on `code`; the text may change between versions.
 * `status` is what HTTP answers, `exit` what the command line exits with (sysexits where one fits).
 */
const table = {
  // images
  IMAGE_EMPTY: { status: 400, exit: 65 },
  IMAGE_UNSUPPORTED: { status: 415, exit: 65 },
  IMAGE_CORRUPT: { status: 422, exit: 65 },
  IMAGE_TRUNCATED: { status: 422, exit: 65 },
  IMAGE_TOO_LARGE: { status: 413, exit: 65 },
  IMAGE_TOO_MANY_PIXELS: { status: 422, exit: 65 },
  IMAGE_TOO_SMALL: { status: 422, exit: 65 },
  IMAGE_ANIMATED: { status: 422, exit: 65 },
  IMAGE_TOO_COMPLEX: { status: 422, exit: 65 },
  FRAME_INVALID: { status: 400, exit: 65 },
  // profiles
  PROFILE_UNREADABLE: { status: 500, exit: 78 },
  PROFILE_INVALID: { status: 500, exit: 78 },
  PROFILE_TRUNCATED: { status: 500, exit: 78 },
  PROFILE_CHECKSUM: { status: 500, exit: 78 },
  PROFILE_VERSION: { status: 500, exit: 78 },
  PROFILE_RULE: { status: 500, exit: 78 },
  // fitting
  FIT_TOO_FEW_IMAGES: { status: 400, exit: 65 },
  FIT_NO_VARIATION: { status: 400, exit: 65 },
  // files and folders
  INPUT_NOT_FOUND: { status: 400, exit: 66 },
  INPUT_UNREADABLE: { status: 400, exit: 66 },
  INPUT_NO_IMAGES: { status: 400, exit: 66 },
  OUTPUT_UNWRITABLE: { status: 500, exit: 73 },
  // settings and requests
  OPTION_INVALID: { status: 400, exit: 2 },
  REQUEST_INVALID: { status: 400, exit: 2 },
  REQUEST_TOO_LARGE: { status: 413, exit: 65 },
  REQUEST_TYPE: { status: 415, exit: 65 },
  REQUEST_TIMEOUT: { status: 408, exit: 75 },
  ROUTE_UNKNOWN: { status: 404, exit: 2 },
  // the machinery
  OVERLOADED: { status: 503, exit: 75 },
  CLOSED: { status: 503, exit: 75 },
  CORE_UNAVAILABLE: { status: 500, exit: 70 },
  INTERNAL: { status: 500, exit: 70 },
} as const;

export type ErrorName = keyof typeof table;
export type ErrorCode = `STOPLINE_ERR_${ErrorName}`;

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
  toJSON(): { code: ErrorCode; message: string } {
    return { code: this.code, message: this.message };
  }
}

/** All codes with their status and exit code, for the documentation and the OpenAPI description. */
export const errorTable: ReadonlyArray<{ code: ErrorCode; status: number; exit: number }> = Object.entries(table).map(
  ([name, entry]) => ({ code: `STOPLINE_ERR_${name as ErrorName}`, ...entry }),
);

/** Rebuilds an error that crossed a thread or process border, where only its JSON arrives. */
export function reviveError(json: { code: string; message: string }): StoplineError {
  const name = json.code.replace('STOPLINE_ERR_', '');
  return new StoplineError(name in table ? (name as ErrorName) : 'INTERNAL', json.message);
}

/** Wraps anything thrown: coded errors pass through, the rest becomes `INTERNAL` with its cause kept. */
export function asStoplineError(error: unknown): StoplineError {
  if (error instanceof StoplineError) return error;
  return new StoplineError('INTERNAL', error instanceof Error ? error.message : String(error), { cause: error });
}
