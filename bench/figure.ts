/** One line of the result. */
export interface Figure {
  readonly what: string;
  readonly unit: string;
  /** Whether a larger number is the better one. */
  readonly more: boolean;
  readonly service: number;
  readonly baseline: number;
  /** What the baseline is, and how both were measured. */
  readonly how: string;
}

/** The figures as a table for a terminal or a comment (Markdown). */
export function table(figures: readonly Figure[]): string {
  const rows = [
    ["figure", "service", "baseline", "service ÷ baseline", "baseline, and how both were measured"],
    ...figures.map(({ what, unit, more, service, baseline, how }) => [
      what,
      `${text(service)} ${unit}`,
      `${text(baseline)} ${unit}`,
      `${text(service / baseline)} (${more ? "more" : "less"} is better)`,
      how,
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`);
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [lines[0], rule, ...lines.slice(1)].join("\n");
}

/** Three digits that count: 12,345 and 1.23 and 0.0123. */
function text(value: number): string {
  return value.toLocaleString("en", value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
}
