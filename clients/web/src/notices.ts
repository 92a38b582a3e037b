/** What operators say to everybody, and what this page has to say about what it was told to do. */

const KEPT_MAX = 20

export interface Notice {
  readonly id: number
  /** `said`: by an operator. The others are of this page. */
  readonly kind: 'said' | 'done' | 'failed'
  readonly text: string
  readonly timeMs: number
}

export function createNotices(onChange: () => void) {
  let notices: readonly Notice[] = []
  let ids = 0
  return {
    add(kind: Notice['kind'], text: string) {
      ids += 1
      notices = [...notices.slice(1 - KEPT_MAX), { id: ids, kind, text, timeMs: Date.now() }]
      onChange()
    },
    dismiss(id: number) {
      notices = notices.filter((notice) => notice.id !== id)
      onChange()
    },
    clear() {
      notices = []
      onChange()
    },
    list: () => notices,
  }
}

export type Notices = ReturnType<typeof createNotices>
