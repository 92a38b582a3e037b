/** Jobs counted by status, as the server counts them, and what the system last said of itself. */
import type { LightwireEvent, QueueStatus } from '../../../typescript/src/events.ts'
import { isAfter, nowhere, type Places } from './slice.ts'

export type Queue = Pick<QueueStatus, 'pending' | 'processing' | 'completed' | 'failed' | 'total'>

export function createCounts() {
  let queue: Queue | undefined
  let system = ''
  let places = nowhere
  return {
    /** @param status what the system said last, where that is known */
    reset(read: Queue | undefined, at: Places, status: string | undefined) {
      queue = read
      system = status ?? system
      places = at
    },
    apply(event: LightwireEvent): boolean {
      if (!isAfter(places, event)) return false
      if (event.type === 'queue_status') queue = event
      else if (event.type === 'system_status') system = event.status
      else return false
      return true
    },
    get queue() {
      return queue
    },
    get system() {
      return system
    },
  }
}
