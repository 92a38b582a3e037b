/** A QR code as one path. */
import { encode } from 'uqr'

interface QrProps {
  readonly text: string
  readonly label: string
}

export function Qr({ text, label }: QrProps) {
  const { size, data } = encode(text, { ecc: 'L', border: 2 })
  const path = data
    .flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : [])))
    .join('')
  return (
    <svg
      className="qr"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={label}
      shapeRendering="crispEdges"
    >
      <rect width={size} height={size} className="qr-light" />
      <path d={path} className="qr-dark" />
    </svg>
  )
}
