/** Rows for multi-row INSERTs: few sizes make few statement texts, so that compiled statements stay cached. */

const SIZES = [64, 16, 4, 1]

export function* inChunks<T>(rows: readonly T[]): Generator<T[]> {
  let at = 0
  for (const size of SIZES) for (; rows.length - at >= size; at += size) yield rows.slice(at, at + size)
}
