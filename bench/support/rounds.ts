/** Alternating rounds: on a shared machine only the ratio of two things measured in turn means something. */

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Runs ours and the other in turn, changing who is first; a warm-up round of each is not counted. */
export async function alternate<T>(
  rounds: number,
  ours: () => Promise<T>,
  other: () => Promise<T>,
  { warmUp = true } = {},
): Promise<[T, T][]> {
  const pairs: [T, T][] = []
  for (let round = warmUp ? 0 : 1; round <= rounds; round += 1) {
    const oursFirst = round % 2 === 0
    const first = await (oursFirst ? ours() : other())
    const second = await (oursFirst ? other() : ours())
    if (round > 0) pairs.push(oursFirst ? [first, second] : [second, first])
  }
  return pairs
}

export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: quantile(sorted, 0.5), min: quantile(sorted, 0), max: quantile(sorted, 1) }
}

/** Of ascending values; nearest rank, the middle two averaged for an even median. NaN of nothing. */
export function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share
  const low = sorted[Math.floor(at)] ?? NaN
  const high = sorted[Math.ceil(at)] ?? NaN
  return low + (high - low) * (at - Math.floor(at))
}

/** `0.98 (0.95–1.01)` */
export function show({ median, min, max }: Summary, digits = 2): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
}

/** Rows under their heads, aligned for a terminal and valid as Markdown. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heads.map((head, column) =>
    Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [line(heads), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
