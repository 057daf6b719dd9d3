import { setTimeout as pause } from "node:timers/promises";
import { type AlexaGrant, type AmazonTokens, claimRefresh, findTokens, putTokens, releaseRefresh } from "../../store/alexa-grants.ts";
import { type Encryption, UnreadableText } from "../../store/encryption.ts";
import type { Db } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";
import { type Amazon, AmazonError } from "./amazon.ts";

/** A token that ends so soon is not used any more. */
const MARGIN_MS = 120_000;
const REFRESH_MS = 6_000;
/** Of a node that died while it refreshed; longer than a refresh takes. */
const CLAIM_MS = 15_000;
const CLAIMED_LOOK_MS = 100;

export interface GrantTokensContext {
  readonly db: Db;
  readonly encryption: Encryption;
  readonly amazon: Amazon;
  readonly clock: () => number;
}

/** The access token of a grant, refreshed before it ends. */
export class GrantTokens {
  readonly #context: GrantTokensContext;
  readonly #grant: AlexaGrant;
  readonly #signal: AbortSignal;
  #known: AmazonTokens | undefined;
  /** Amazon gave them, and the database did not take them. */
  #unsaved: AmazonTokens | undefined;
  #refreshing: Promise<AmazonTokens> | undefined;

  constructor(context: GrantTokensContext, grant: AlexaGrant, signal: AbortSignal) {
    this.#context = context;
    this.#grant = grant;
    this.#signal = signal;
  }

  /** Sends with a good token, and once more with a new one where Amazon does not take it. Throws {@link AmazonError}. */
  async use(work: (accessToken: string) => Promise<void>): Promise<void> {
    const tokens = await this.#valid();
    try {
      return await work(tokens.access);
    } catch (error) {
      if (!(error instanceof AmazonError) || error.kind !== "token") throw error;
    }
    const fresh = await this.#refresh(tokens);
    await work(fresh.access).catch((error: unknown) => {
      if (!(error instanceof AmazonError) || error.kind !== "token") throw error;
      throw new AmazonError("ended", error.code, error.message, { cause: error });
    });
  }

  async #valid(): Promise<AmazonTokens> {
    if (this.#unsaved) await this.#save(this.#unsaved);
    this.#known ??= await this.#read();
    return this.#known.expiresAt - this.#context.clock() > MARGIN_MS ? this.#known : await this.#refresh(this.#known);
  }

  async #read(): Promise<AmazonTokens> {
    const { db, encryption } = this.#context;
    const found = await findTokens(db, encryption, this.#grant).catch((cause: unknown) => {
      if (!(cause instanceof UnreadableText)) throw cause;
      throw new AmazonError("ended", "unreadable", "the hub cannot read its tokens any more: link the skill again", { cause });
    });
    if (!found) throw new AmazonError("ended", "taken_back", "the skill was linked anew, or taken back");
    return found;
  }

  /** Once, for all that ask meanwhile. */
  async #refresh(before: AmazonTokens): Promise<AmazonTokens> {
    if (this.#known && this.#known.access !== before.access) return this.#known;
    this.#refreshing ??= this.#renew(before).finally(() => (this.#refreshing = undefined));
    return await this.#refreshing;
  }

  /** Those of whoever was quicker, who may be another node, or new ones. */
  async #renew(before: AmazonTokens): Promise<AmazonTokens> {
    const { db, amazon, clock } = this.#context;
    for (;;) {
      const isClaimed = await claimRefresh(db, this.#grant, { now: clock(), forMs: CLAIM_MS });
      const stored = await this.#read();
      if (stored.access !== before.access) {
        if (isClaimed) await releaseRefresh(db, this.#grant);
        return (this.#known = stored);
      }
      if (isClaimed) break;
      await pause(CLAIMED_LOOK_MS, undefined, { signal: this.#signal });
    }
    try {
      // To its end, whoever stops: the refresh token may be used up by it.
      this.#unsaved = await amazon.refresh(before.refresh, AbortSignal.timeout(REFRESH_MS));
    } catch (error) {
      await releaseRefresh(db, this.#grant);
      throw error;
    }
    return await this.#save(this.#unsaved);
  }

  async #save(tokens: AmazonTokens): Promise<AmazonTokens> {
    const { db, encryption } = this.#context;
    await inTransaction(db, (trx) => putTokens(trx, encryption, this.#grant, tokens));
    this.#unsaved = undefined;
    return (this.#known = tokens);
  }
}
