/** What went wrong in a command, and how the command then ends. */
import { UplinkError } from "../model/errors.ts";

/** 0 done, 1 failed, 2 wrong input, 3 daemon not reachable: a promise to scripts. */
export type ExitCode = 0 | 1 | 2 | 3;

/** A failure with its exit code; the only thing that commands throw on purpose. */
export class Failure extends UplinkError {
  readonly kind: string;
  readonly retry = "never";
  readonly exitCode: ExitCode;
  readonly remedy: string;

  constructor(
    exitCode: ExitCode,
    told: {
      readonly kind: string;
      readonly object: string;
      readonly message: string;
      readonly remedy: string;
    },
    options?: ErrorOptions,
  ) {
    super(told.object, told.message, options);
    this.exitCode = exitCode;
    this.kind = told.kind;
    this.remedy = told.remedy;
  }
}

/** Any error as a failure: what nobody expected is one too, told without its stack. */
export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof UplinkError) {
    const { kind, object, message } = error;
    const told = { kind, object, message, remedy: "" };
    return new Failure(kind === "policy" ? 2 : 1, told, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new Failure(1, {
    kind: "internal",
    object: "uplinkctl",
    message,
    remedy: "this is a bug: set UPLINKD_DEBUG=1 to see where, and report it",
  });
}
