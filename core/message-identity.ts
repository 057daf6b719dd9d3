/** Which message of which client a packet is: the same for every copy that the client sends of it. */
export interface MessageIdentity {
  readonly clientId: string;
  /** From 1 to 65,535; free again for another message once it is acknowledged. */
  readonly packetId: number;
  /** Of who sent it, its topic and its payload; hexadecimal. */
  readonly digest: string;
  /** The client says that this is not the first copy (DUP). Only then may an earlier one have had its effect. */
  readonly isRepeated: boolean;
  /** In that time, in ms since 1970, its messages were taken and answered: no copy of those comes again. */
  readonly answered?: { readonly from: number; readonly until: number } | undefined;
}
