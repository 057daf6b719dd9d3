/** What the password thread is asked: to check `plain` against `hash`, or without one to make a hash. */
export interface PasswordRequest {
  readonly id: number;
  readonly plain: string;
  readonly hash?: string;
  /** Of the hash that is made; of a check the time that it takes in all, whatever the hash's own cost is. */
  readonly cost: number;
}
export type PasswordReply = { readonly id: number; readonly hash: string } | { readonly id: number; readonly matches: boolean };

/** A hash that no password has, for the time a comparison takes. */
export function nobodysHash(cost: number): string {
  return `$2b$${cost}$P9hPJqdILaUEHV/YOUiS2eblWrzpygaCblG777Da5cNbxq6jWpk.e`;
}

/** Of a bcrypt hash: one more is twice the work. 0 for what is none. */
export function costOf(hash: string): number {
  return Number(/^\$2b\$(\d\d)\$/.exec(hash)?.[1] ?? 0);
}
