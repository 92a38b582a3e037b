/** Requests that each come three times at once, to a server that is killed in the middle, until all are answered. */
import { readStore } from '../faults/store-copy.ts'
import { createApi } from '../support/api.ts'
import { createKeyed, type KeyedAnswer } from '../support/keyed.ts'
import { plant, type Patch } from '../support/planted.ts'
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

/** Of each request. */
const COPIES = 3
/** Requests under way at once. */
const LANES = 24
/** A copy that got no answer is sent again, at most so often. */
const TRIES_MAX = 2000
/** Between two tries while nobody listens: the server takes a moment to come back. */
const RETRY_MS = 10

interface RunOptions {
  readonly requests: number
  readonly kills: number
  /** A fault planted in the server. */
  readonly patches?: readonly Patch[]
}

export interface KeyedReport {
  readonly kills: number
  /** Tries that got no answer. */
  readonly unanswered: number
  /** Answers that had been given before. */
  readonly replayed: number
  /** Requests whose first answer nobody got: it was stored, and the server killed before it left. */
  readonly orphaned: number
  /** Exports in the end; every second request starts one. */
  readonly exports: number
  /** Events in the end, and of how many requests they are. */
  readonly events: number
  readonly distinct: number
  /** Requests whose copies did not all get the same answer of 201. */
  readonly unequal: readonly string[]
}

export async function runKeyed({ requests, kills, patches = [] }: RunOptions): Promise<KeyedReport> {
  using folder = temporaryFolder()
  using copy = patches.length === 0 ? undefined : plant(patches)
  const start = () => startProcess({ folder: folder.path, ...(copy ? { root: copy.root } : {}) })
  const place = { server: await start() }
  const token = await tokenOf(folder.path)
  const api = createApi(() => place.server.url, token)
  const send = createKeyed(() => place.server.url, token)
  const photo = (await api<{ id: number }>('POST', '/api/photos', { file_path: '/keyed.jpg' })).body.id
  const answers = Array.from({ length: requests }, (): KeyedAnswer[] => [])
  let unanswered = 0
  let answered = 0
  let killed = 0

  async function untilAnswered(n: number): Promise<void> {
    const [path, body] = requestOf(n, photo)
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      try {
        answers[n]?.push(await send(`key-${n}`, 'POST', path, body))
        answered += 1
        return
      } catch {
        unanswered += 1
        await Bun.sleep(RETRY_MS)
      }
    }
    throw new Error(`request ${n} was never answered`)
  }

  async function lane(first: number): Promise<void> {
    for (let n = first; n < requests; n += LANES) {
      await Promise.all(Array.from({ length: COPIES }, () => untilAnswered(n)))
    }
  }

  /** A kill after each of so many equal parts of the answers, whatever is under way then. */
  async function killer(): Promise<void> {
    const part = (requests * COPIES) / (kills + 1)
    while (killed < kills) {
      await Bun.sleep(1)
      if (answered < part * (killed + 1)) continue
      await place.server.kill()
      killed += 1
      place.server = await start()
    }
  }

  await Promise.all([killer(), ...Array.from({ length: LANES }, (_, first) => lane(first))])
  const { body: list } = await api<{ total: number }>('GET', '/api/exports?limit=1')
  await place.server.kill()
  const events = readStore(folder.path).events.flatMap(({ data }) => markOf(data))
  return {
    kills: killed,
    unanswered,
    replayed: answers.flat().filter(({ replayed }) => replayed !== null).length,
    orphaned: answers.filter((copies) => copies.every(({ replayed }) => replayed !== null)).length,
    exports: list.total,
    events: events.length,
    distinct: new Set(events).size,
    unequal: answers.flatMap(faultsOf),
  }
}

/** Nothing in it is unique: done twice, there would be two of it. */
function requestOf(n: number, photo: number): [path: string, body: object] {
  if (n % 2 === 0)
    return ['/api/exports', { photo_id: photo, preset_name: 'Print', destination: `/mark/${n}` }]
  return ['/api/events', [{ type: 'error_occurred', error_type: 'keyed', error_message: `/mark/${n}` }]]
}

/** Which request an event is of. */
function markOf({ destination, error_message }: Record<string, unknown>): string[] {
  return [destination, error_message].map(String).filter((text) => text.startsWith('/mark/'))
}

function faultsOf(copies: readonly KeyedAnswer[], n: number): string[] {
  const distinct = new Set(copies.map(({ status, text, cursor }) => `${status} ${String(cursor)} ${text}`))
  const good = copies.length === COPIES && copies.every(({ status }) => status === 201)
  return distinct.size === 1 && good ? [] : [`key-${n}: ${[...distinct].join(' | ')}`]
}
