/** Icons, drawn here: 20 units wide, one stroke. */

const paths = {
  live: 'M2 11h3l2.5-6 4 11 2.6-7 1.2 2H18',
  approval: 'M3 5h14v10H3zM6.5 10.2l2.4 2.4 4.6-5',
  operations: 'M4 6h7M15 6h1M4 10h2M10 10h6M4 14h6M14 14h2M13 4.5v3M8 8.5v3M12 12.5v3',
  settings: 'M3 6h9M16 6h1M3 14h1M8 14h9M14 4.5v3M6 12.5v3',
  check: 'M4 10.5l4 4 8-9',
  cross: 'M5 5l10 10M15 5L5 15',
  warning: 'M10 3.5L18 16.5H2zM10 8.5v3.5M10 14.2v.3',
  error: 'M10 2.5a7.5 7.5 0 110 15 7.5 7.5 0 010-15zM10 6v5M10 13.6v.3',
  photo: 'M3 4h14v12H3zM3 13.5l4-4 3.5 3.5 2.5-2.5 4 4M13.2 7.6h.1',
  lock: 'M5 9h10v8H5zM7 9V6.5a3 3 0 016 0V9',
  search: 'M8.8 3.5a5.3 5.3 0 110 10.6 5.3 5.3 0 010-10.6zM12.8 12.8l4 4',
  message: 'M3 4h14v9.5H9l-3.5 3v-3H3z',
  refresh: 'M16 10a6 6 0 11-1.8-4.3M16 3v3.2h-3.2',
  star: 'M10 2.8l2.2 4.6 5 .7-3.6 3.5.9 5L10 14.2l-4.5 2.4.9-5L2.8 8.1l5-.7z',
} as const

export type IconName = keyof typeof paths

export function Icon({ name, isFilled = false }: { readonly name: IconName; readonly isFilled?: boolean }) {
  return (
    <svg
      className={isFilled ? 'icon icon-filled' : 'icon'}
      viewBox="0 0 20 20"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  )
}

/** The mark: a wire that is lit. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="7" />
      <path d="M5 18h6l3-8 4.5 13 3-9 1.5 4H27" />
    </svg>
  )
}
