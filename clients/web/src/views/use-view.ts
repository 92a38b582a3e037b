/** Which view is open: the fragment of the address, so that back, reload and links work. */
import { useSyncExternalStore } from 'react'

export const views = ['live', 'approval', 'operations'] as const
export type View = (typeof views)[number]

function viewOf(hash: string): View {
  return views.find((view) => `#${view}` === hash) ?? 'live'
}

export function openView(view: View): void {
  location.hash = view
}

export function useView(): View {
  return useSyncExternalStore(
    (listener) => {
      addEventListener('hashchange', listener)
      return () => removeEventListener('hashchange', listener)
    },
    () => viewOf(location.hash),
  )
}
