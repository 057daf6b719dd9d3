/** Where accounts are linked, as docs/account-linking.md tells it. */
export const AUTHORIZE_PATH = "/oauth/authorize";
export const TOKEN_PATH = "/oauth/token";
export const REVOKE_PATH = "/oauth/revoke";
export const METADATA_PATH = "/.well-known/oauth-authorization-server";
/** The pages on which people log in and say what they allow. */
export const LINK_PATH = "/oauth/link/:uid";

export const linkPath = (uid: string): string => LINK_PATH.replace(":uid", uid);
