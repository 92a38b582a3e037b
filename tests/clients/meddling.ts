/** Proxies that do to a client what a middlebox may: lose a message, break an answer off, refuse upgrades. */
import { startMeddler } from '../support/meddler.ts'

interface Meddling extends AsyncDisposable {
  readonly url: string
  /** Times that it has done it. */
  readonly times: number
}

/** Loses the second and the fifth event that would pass over a socket. */
export function startDropping(target: string): Meddling {
  let [seen, times] = [0, 0]
  const meddler = startMeddler(target, {
    message(message) {
      if (typeof message['seq'] !== 'number') return [message]
      seen += 1
      if (seen !== 2 && seen !== 5) return [message]
      times += 1
      return []
    },
  })
  return {
    ...meddler,
    get times() {
      return times
    },
  }
}

/** Where events come in answers, and not as a stream. */
const polled: ReadonlySet<string> = new Set(['/api/events', '/ws/poll'])

/** Breaks off the first two answers that have events in the middle, as a bad cache does. */
export function startBreakingOff(target: string): Meddling {
  let [seen, times] = [0, 0]
  const meddler = startMeddler(target, {
    answer({ path }, reply) {
      if (!polled.has(path) || !reply.text.includes('"seq":')) return reply
      seen += 1
      if (seen > 2) return reply
      times += 1
      return { ...reply, text: reply.text.slice(0, reply.text.length / 2) }
    },
  })
  return {
    ...meddler,
    get times() {
      return times
    },
  }
}

/** Lets everything through but WebSockets. */
export function startDeaf(target: string): AsyncDisposable & { readonly url: string } {
  return startMeddler(target, { upgrades: false })
}
