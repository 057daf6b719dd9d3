/** The part of oidc-provider that the hub uses; the package brings no types. */
declare module "oidc-provider" {
  import type Koa from "koa";
  import type { IncomingMessage, ServerResponse } from "node:http";

  export interface StoredPayload extends Record<string, unknown> {
    grantId?: string;
    jti?: string;
  }
  export interface Adapter {
    upsert(id: string, payload: StoredPayload, expiresInS: number): Promise<void>;
    find(id: string): Promise<StoredPayload | undefined>;
    findByUid(uid: string): Promise<StoredPayload | undefined>;
    findByUserCode(code: string): Promise<StoredPayload | undefined>;
    consume(id: string): Promise<void>;
    destroy(id: string): Promise<void>;
    revokeByGrantId(grantId: string): Promise<void>;
  }
  export interface Interaction {
    readonly uid: string;
    readonly exp: number;
    readonly returnTo: string;
    readonly params: Readonly<Record<string, unknown>>;
    result: Record<string, unknown> | undefined;
    save(ttlS: number): Promise<string>;
  }
  export interface TokenModel {
    readonly prototype: { generateTokenId: (this: object) => string };
  }
  export class Provider extends Koa {
    constructor(issuer: string, configuration: object);
    readonly AccessToken: TokenModel;
    readonly RefreshToken: TokenModel;
    readonly Client: { readonly prototype: { clientId: string; compareClientSecret(secret: string): Promise<boolean> } };
    readonly Grant: { find(id: string): Promise<object | undefined> };
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>;
    interactionResult(request: IncomingMessage, response: ServerResponse, result: object, options?: object): Promise<string>;
  }
  export const errors: {
    readonly InvalidGrant: new (detail: string) => Error;
    readonly SessionNotFound: new (detail: string) => Error;
  };
}
