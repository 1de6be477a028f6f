import { afterEach } from "vitest";

/** Makes a function that registers what is to be closed after each test of the file, last first. */
export function closingAfterEach(): <T extends AsyncDisposable>(value: T) => T {
  const open: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
  });
  return (value) => {
    open.push(value);
    return value;
  };
}
