import { createHash, createHmac } from "node:crypto";
import { HubError } from "../core/errors.ts";
import { abandonIdempotent, beginIdempotent, finishIdempotent, releaseIdempotent } from "../store/idempotency.ts";
import type { Db } from "../store/open.ts";
import { derivedKey, openText, sealText, type SigningKeys } from "../store/secrets.ts";
import type { ApiContext } from "./context.ts";

type Needs = Pick<ApiContext, "store" | "keys" | "clock">;

export interface Attempt {
  readonly principalId: string;
  /** Method and path. */
  readonly endpoint: string;
  readonly key: string;
  /** With the conditions: everything else that makes it this request, but for the body. */
  readonly query: string;
  readonly body: Buffer;
}

/** The first answer, as it was sent. */
export interface StoredAnswer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The place where the first request leaves its answer; ask for it inside the transaction of the effect. */
export interface AnswerSlot {
  finish(db: Db, answer: StoredAnswer): Promise<void>;
  abandon(): Promise<void>;
  /** The request is over, whatever became of it: who repeats it need not wait. */
  release(): void;
}

/** Throws `idempotency_conflict` and `idempotency_in_progress`. */
export async function beginAttempt(context: Needs, attempt: Attempt): Promise<{ replay: StoredAnswer } | { slot: AnswerSlot }> {
  const { db } = context.store;
  const name = { principalId: attempt.principalId, endpoint: attempt.endpoint, key: attempt.key };
  const [bodyHash = "", ...otherHashes] = fingerprints(context.keys, attempt);
  const begun = await beginIdempotent(db, { ...name, bodyHash, otherHashes, now: context.clock() });
  switch (begun.kind) {
    case "conflict":
      throw new HubError("idempotency_conflict", "this idempotency key was used for another request within the last 24 hours");
    case "in_progress":
      throw new HubError("idempotency_in_progress", "the first request with this idempotency key still runs: ask again soon");
    case "replay":
      return { replay: { status: begun.status, text: unseal(context.keys, begun.body), headers: begun.headers } };
    case "first":
      return {
        slot: {
          finish: (trx, answer) =>
            finishIdempotent(trx, name, {
              status: answer.status,
              body: sealText(context.keys, ANSWERS, answer.text),
              headers: answer.headers,
              now: context.clock(),
            }),
          abandon: () => abandonIdempotent(db, name),
          release: () => releaseIdempotent(name),
        },
      };
  }
}

/** Throws `validation_error` for a key that is no token of 1 to 255 visible characters. */
export function checkIdempotencyKey(key: string): string {
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) throw new HubError("validation_error", "idempotency-key takes 1 to 255 visible ASCII characters");
  return key;
}

/** A name for all repetitions of one attempt, short enough for a command id. */
export function repetitionIdOf(attempt: Pick<Attempt, "principalId" | "endpoint" | "key">): string {
  return `idem-${createHash("sha256").update([attempt.principalId, attempt.endpoint, attempt.key].join("\n")).digest("base64url")}`;
}

/*
 * Answers carry tokens that are shown once, and bodies carry passwords: what is kept of them for 24 hours is sealed,
 * or hashed with a key, so that a stolen database file gives neither.
 */
function fingerprints(keys: SigningKeys, attempt: Attempt): string[] {
  return keys
    .all("token_hmac")
    .map((key) =>
      createHmac("sha256", derivedKey(key, "idempotency fingerprints"))
        .update(`${attempt.endpoint}\n${attempt.query}\n`)
        .update(attempt.body)
        .digest("hex"),
    );
}

const ANSWERS = "idempotency answers";

function unseal(keys: SigningKeys, stored: string): string {
  const text = openText(keys, ANSWERS, stored);
  if (text === undefined) throw new HubError("idempotency_conflict", "the first answer to this idempotency key can no longer be read");
  return text;
}
