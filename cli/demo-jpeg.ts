/** Writes small baseline JPEGs (ITU-T T.81) from nothing: grey blocks that hold only their mean. */

/** Pixels along a side of a block. */
const BLOCK = 8
/** The DC coefficient is eight times the mean of a block; divided by this it fits 8 bits. */
const DC_QUANTISER = 8

/** A valid JPEG of `columns` × `rows` blocks of 8 × 8; `shadeAt` gives −128 (black) to 127 per block. */
export function encodeJpeg(
  columns: number,
  rows: number,
  shadeAt: (column: number, row: number) => number,
): Uint8Array {
  // DC: twelve categories in codes of four bits. AC: end-of-block alone, in one bit.
  const dcCodes = [
    0,
    0,
    0,
    12,
    ...Array<number>(12).fill(0),
    ...Array.from({ length: 12 }, (_, category) => category),
  ]
  const acCodes = [1, ...Array<number>(15).fill(0), 0]
  const height = rows * BLOCK
  const width = columns * BLOCK
  return Uint8Array.from([
    0xff,
    0xd8,
    ...segment(0xe0, [...Buffer.from('JFIF\0'), 1, 1, 0, 0, 1, 0, 1, 0, 0]),
    ...segment(0xdb, [0, DC_QUANTISER, ...Array<number>(BLOCK * BLOCK - 1).fill(1)]),
    ...segment(0xc0, [8, height >> 8, height & 0xff, width >> 8, width & 0xff, 1, 1, 0x11, 0]),
    ...segment(0xc4, [0x00, ...dcCodes]),
    ...segment(0xc4, [0x10, ...acCodes]),
    ...segment(0xda, [1, 1, 0x00, 0, 63, 0]),
    ...scan(columns, rows, shadeAt),
    0xff,
    0xd9,
  ])
}

function segment(marker: number, payload: readonly number[]): number[] {
  const length = payload.length + 2
  return [0xff, marker, length >> 8, length & 0xff, ...payload]
}

/** Entropy-coded blocks, row by row: the difference to the block before, then end-of-block (T.81 §F.1.2). */
function scan(columns: number, rows: number, shadeAt: (column: number, row: number) => number): number[] {
  const bytes: number[] = []
  let bits = 0
  let filled = 0
  const put = (value: number, length: number) => {
    for (let at = length - 1; at >= 0; at -= 1) {
      bits = (bits << 1) | ((value >> at) & 1)
      filled += 1
      if (filled < 8) continue
      bytes.push(bits)
      // A 0xff in the data is followed by a stuffed zero, so that it is no marker.
      if (bits === 0xff) bytes.push(0)
      bits = 0
      filled = 0
    }
  }
  let before = 0
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const shade = Math.max(-128, Math.min(127, Math.round(shadeAt(column, row))))
      const difference = shade - before
      before = shade
      const category = difference === 0 ? 0 : Math.floor(Math.log2(Math.abs(difference))) + 1
      put(category, 4)
      put(difference < 0 ? difference + 2 ** category - 1 : difference, category)
      put(0, 1)
    }
  }
  while (filled > 0) put(1, 1)
  return bytes
}
