import { type AlexaGrant, type AmazonTokens, findTokens, putTokens } from "../../store/alexa-grants.ts";
import { type Encryption, UnreadableText } from "../../store/encryption.ts";
import type { Db } from "../../store/open.ts";
import { inTransaction } from "../../store/transaction.ts";
import { type Amazon, AmazonError } from "./amazon.ts";

/** A token that ends so soon is not used any more. */
const MARGIN_MS = 120_000;

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
    const { db, encryption, clock } = this.#context;
    this.#known ??= await findTokens(db, encryption, this.#grant).catch((cause: unknown) => {
      if (!(cause instanceof UnreadableText)) throw cause;
      throw new AmazonError("ended", "unreadable", "the hub cannot read its tokens any more: link the skill again", { cause });
    });
    if (!this.#known) throw new AmazonError("ended", "taken_back", "the skill was linked anew, or taken back");
    return this.#known.expiresAt - clock() > MARGIN_MS ? this.#known : await this.#refresh(this.#known);
  }

  /** Once, for all that ask meanwhile. */
  async #refresh(before: AmazonTokens): Promise<AmazonTokens> {
    if (this.#known && this.#known.access !== before.access) return this.#known;
    this.#refreshing ??= this.#renew(before).finally(() => (this.#refreshing = undefined));
    return await this.#refreshing;
  }

  async #renew({ refresh }: AmazonTokens): Promise<AmazonTokens> {
    const { db, encryption, amazon } = this.#context;
    const tokens = await amazon.refresh(refresh, this.#signal);
    await inTransaction(db, (trx) => putTokens(trx, encryption, this.#grant, tokens));
    return (this.#known = tokens);
  }
}
