/** File names of photos by number: events name a photo once, people know it by its name. */
import type { LightwireEvent } from '../../../typescript/src/events.ts'
import { isFinal } from '../api.ts'
import { bound } from './slice.ts'

const NAMES_MAX = 5000
const PAUSE_MS = 200
/** After a read that had no answer. */
const RETRY_MS = 2000

interface NamesOptions {
  readonly read: (id: number) => Promise<string>
  readonly onChange: () => void
  /** The life of the page that this is for. */
  readonly ended?: AbortSignal
}

export function createNames({ read, onChange, ended }: NamesOptions) {
  const names = new Map<number, string>()
  const wanted = new Set<number>()
  let isReading = false

  const put = (id: number, name: string) => {
    names.set(id, name)
    bound(names, NAMES_MAX)
  }
  const pump = async (): Promise<void> => {
    if (isReading) return
    isReading = true
    for (let [id] = wanted; id !== undefined && !ended?.aborted; [id] = wanted) {
      // One that is gone, or not for us, is called by its number.
      const name = await read(id).catch((error: unknown) => (isFinal(error) ? '' : undefined))
      wanted.delete(id)
      if (name !== undefined) put(id, name)
      // Behind those that wait.
      else wanted.add(id)
      onChange()
      await new Promise((resolve) => setTimeout(resolve, name === undefined ? RETRY_MS : PAUSE_MS))
    }
    isReading = false
  }
  return {
    put,
    apply(event: LightwireEvent): boolean {
      if (event.type === 'photo_imported' && event.photo_id !== null) put(event.photo_id, event.file_name)
      return false
    },
    /** '' where it is not known. */
    of: (id: number): string => names.get(id) ?? '',
    /** For photos that somebody looks at: is read when it is not known yet. */
    want(id: number) {
      if (names.has(id) || wanted.has(id)) return
      wanted.add(id)
      void pump()
    },
  }
}
