/**
 * A path for Vault's HTTP API; node-vault escapes nothing. A slash parts segments and can't be in one: Vault takes %2F for a slash too.
 * @throws TypeError for an empty segment, or one that an URL would resolve ("." and "..")
 */
export function vaultPath(path: string): string {
  return path
    .split("/")
    .map((segment) => {
      if (["", ".", ".."].includes(segment)) throw new TypeError(`no path in Vault: ${path}`);
      return encodeURIComponent(segment);
    })
    .join("/");
}
