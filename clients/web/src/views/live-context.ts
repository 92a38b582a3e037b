/** How views reach the life of the page they are in. */
import { createContext, useContext } from 'react'
import type { Live } from '../live.ts'
import { useVersion, type Part } from '../store.ts'

const LiveContext = createContext<Live | undefined>(undefined)
export const LiveProvider = LiveContext.Provider

export function useLive(): Live {
  const live = useContext(LiveContext)
  if (!live) throw new Error('there is no LiveProvider around this')
  return live
}

/** The life, drawn again whenever one of the parts changes. */
export function useLivePart(part: Part): Live {
  const live = useLive()
  useVersion(live.store, part)
  return live
}
