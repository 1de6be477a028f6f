import { describe, expect, it } from "vitest";
import { AuthBudget } from "../src/auth-budget.ts";

const MINUTE = 60_000;

function budgetAt(start = 1_000_000) {
  let time = start;
  const budget = new AuthBudget(() => time);
  return { budget, pass: (ms: number) => (time += ms), now: () => time };
}

describe("the login budget", () => {
  it("allows three refusals in 15 minutes, then one probe per 30 minutes", () => {
    const { budget, pass, now } = budgetAt();
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(budget.take("a")).toBe(true);
      budget.rejected("a");
      pass(MINUTE);
    }
    expect(budget.take("a")).toBe(false);
    expect(budget.nextTry("a")).toBe(now() - MINUTE + 30 * MINUTE);
    pass(15 * MINUTE);
    expect(budget.take("a")).toBe(false);
    pass(14 * MINUTE);
    expect(budget.take("a")).toBe(true);
    expect(budget.take("a")).toBe(false);
    budget.rejected("a");
    pass(29 * MINUTE);
    expect(budget.take("a")).toBe(false);
    pass(MINUTE);
    expect(budget.take("a")).toBe(true);
  });

  it("allows a try also when the clock goes on while it looks", () => {
    let time = 1_000_000;
    const budget = new AuthBudget(() => time++);
    expect(budget.take("a")).toBe(true);
  });

  it("forgets refusals older than 15 minutes while it isn't spent", () => {
    const { budget, pass } = budgetAt();
    for (let hour = 0; hour < 5; hour++) {
      expect(budget.take("a")).toBe(true);
      budget.rejected("a");
      expect(budget.take("a")).toBe(true);
      budget.rejected("a");
      pass(15 * MINUTE);
    }
  });

  it("counts tries that are under way as if they would be refused", () => {
    const { budget, pass } = budgetAt();
    expect([1, 2, 3, 4].map(() => budget.take("a"))).toEqual([true, true, true, false]);
    budget.abandoned("a");
    expect(budget.take("a")).toBe(true);
    expect(budget.take("a")).toBe(false);
    // A try that nobody reported on is over some time.
    pass(2 * MINUTE);
    expect(budget.take("a")).toBe(true);
  });

  it("of a credential that was accepted allows as many as one likes, but three at once, until it is refused", () => {
    const { budget, pass, now } = budgetAt();
    for (let time = 0; time < 20; time++) {
      expect(budget.take("a")).toBe(true);
      budget.accepted("a");
    }
    expect([1, 2, 3, 4].map(() => budget.take("a"))).toEqual([true, true, true, false]);
    expect(budget.nextTry("a")).toBe(now() + 2 * MINUTE);
    budget.accepted("a");
    expect([1, 2].map(() => budget.take("a"))).toEqual([true, false]);
    for (let refused = 0; refused < 3; refused++) budget.rejected("a");
    pass(2 * MINUTE);
    expect(budget.take("a")).toBe(false);
  });

  it("is whole again once a probe is accepted", () => {
    const { budget, pass } = budgetAt();
    for (let refused = 0; refused < 3; refused++) budget.rejected("a");
    pass(30 * MINUTE);
    expect(budget.take("a")).toBe(true);
    budget.accepted("a");
    expect(budget.take("a")).toBe(true);
    budget.rejected("a");
    expect(budget.take("a")).toBe(true);
  });

  it("is each key's own", () => {
    const { budget } = budgetAt();
    for (let refused = 0; refused < 3; refused++) budget.rejected("op/main/old");
    expect(budget.take("op/main/old")).toBe(false);
    expect(budget.take("op/main/new")).toBe(true);
    expect(budget.take("op/other/old")).toBe(true);
  });

  it("allows one try per five minutes while a vendor may be late with its switch, however many were refused", () => {
    const { budget, pass, now } = budgetAt();
    for (let attempt = 0; attempt < 6; attempt++) {
      expect(budget.take("a", "SPACED")).toBe(true);
      expect(budget.take("a", "SPACED")).toBe(false);
      budget.rejected("a");
      expect(budget.nextTry("a", "SPACED")).toBe(now() + 5 * MINUTE);
      pass(5 * MINUTE - 1);
      expect(budget.take("a", "SPACED")).toBe(false);
      pass(1);
    }
    expect(budget.take("a")).toBe(false); // by the ordinary rule they count
  });

  it("allows one refusal of a credential that is tried once, ever; a try without a word doesn't count", () => {
    const { budget, pass } = budgetAt();
    expect(budget.take("a", "ONCE")).toBe(true);
    expect(budget.take("a", "ONCE")).toBe(false);
    budget.abandoned("a");
    expect(budget.take("a", "ONCE")).toBe(true);
    budget.rejected("a");
    pass(24 * 60 * MINUTE);
    expect(budget.take("a", "ONCE")).toBe(false);
    expect(budget.nextTry("a", "ONCE")).toBe(Infinity);
  });

  it("is whole again when somebody has seen to it", () => {
    const { budget } = budgetAt();
    for (let refused = 0; refused < 3; refused++) budget.rejected("a");
    budget.renew("a");
    budget.renew("unknown");
    expect([1, 2, 3, 4].map(() => budget.take("a"))).toEqual([true, true, true, false]);
  });
});
