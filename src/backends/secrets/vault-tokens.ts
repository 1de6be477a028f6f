/** Where the token for Vault comes from: two kinds, the file of an agent and a login of our own. */
export interface VaultTokens {
  /** The token to use now. @throws VaultError when there is none; the signal's reason */
  current(signal: AbortSignal): Promise<string>;
  /**
   * Another one in place of a token that Vault doesn't know any more; undefined when there is none so soon.
   * @throws VaultError, the signal's reason
   */
  insteadOf(dead: string, signal: AbortSignal): Promise<string | undefined>;
  /** Ends what is under way. */
  close(): void;
}

/** What can stand in a header, unlike what an error of the header would quote. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}
