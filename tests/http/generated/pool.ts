/** Ids that the server gave out: answers bring them in, later requests take them up, so that transitions succeed. */

type Id = string | number

/** Newest ids kept of each kind. */
const IDS_MAX = 60
/** Ids that a draw below FRESH takes from: what was touched last is most likely in the state that a request needs. */
const FRESH_IDS = 1
const FRESH = 0.75

/** Stands for an id in a generated value; which one is decided when the request is sent. */
export class KnownId {
  constructor(
    readonly kind: string,
    /** 0 ≤ draw < 1 */
    readonly draw: number,
    /** While there is none. */
    readonly fallback: unknown,
  ) {}
}

/** The kind of the ids that an object at this name has. */
const kinds: Readonly<Record<string, string>> = {
  sessions: 'session_id',
  photos: 'photo_id',
  approval: 'photo_id',
  jobs: 'job_id',
  job: 'job_id',
  exports: 'export_id',
  export: 'export_id',
  websocket: 'client_id',
  handshake: 'client_id',
  poll: 'client_id',
}

/** A cursor is no id, and yet of the server's making. */
export const CURSOR = 'since'

/** Names of fields, queries and path parameters that hold what the server gave out, of the kind of their name. */
export const idNames: ReadonlySet<string> = new Set([...Object.values(kinds), CURSOR])

/** The kind of `id` in a path: `/api/photos/{id}` has a photo's. */
export function kindOfPath(path: string): string | undefined {
  return kinds[path.split('/')[2] ?? '']
}

export type Pool = ReturnType<typeof createPool>

export function createPool() {
  const known = new Map<string, Id[]>()
  const idsOf = (kind: string): Id[] => {
    const ids = known.get(kind) ?? []
    known.set(kind, ids)
    return ids
  }
  const forget = (kind: string, id: Id) => {
    const ids = idsOf(kind)
    const at = ids.indexOf(id)
    if (at >= 0) ids.splice(at, 1)
  }
  const note = (kind: string, id: unknown) => {
    if (typeof id !== 'string' && typeof id !== 'number') return
    forget(kind, id)
    idsOf(kind).push(id)
    if (idsOf(kind).length > IDS_MAX) idsOf(kind).shift()
  }

  function walk(value: unknown, kind: string | undefined): void {
    if (Array.isArray(value)) return value.forEach((item) => walk(item, kind))
    if (typeof value !== 'object' || value === null) return
    for (const [name, field] of Object.entries(value)) {
      if (name === 'id' && kind !== undefined) note(kind, field)
      else if (name === 'deleted' && kind !== undefined) forget(kind, (field as { id: Id }).id)
      else if (name === 'disconnected') forget('client_id', (value as { client_id: Id }).client_id)
      else if (idNames.has(name)) note(name, field)
      else if (kinds[name] !== undefined) walk(field, kinds[name])
    }
  }

  return {
    /** Takes in the ids of an answer to a request of this path; other paths only repeat what they were told. */
    learn(path: string, answer: unknown): void {
      const kind = kindOfPath(path)
      if (kind !== undefined) walk(answer, kind)
    },

    note,

    /** The value with every stand-in replaced. */
    settle(value: unknown): unknown {
      if (value instanceof KnownId) {
        const { kind, draw, fallback } = value
        const ids = idsOf(kind)
        const newest = ids.slice(-FRESH_IDS)
        const [from, share] = draw < FRESH ? [newest, draw / FRESH] : [ids, (draw - FRESH) / (1 - FRESH)]
        return from[Math.floor(share * from.length)] ?? fallback
      }
      if (Array.isArray(value)) return value.map((item) => this.settle(item))
      if (typeof value !== 'object' || value === null) return value
      return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, this.settle(field)]))
    },
  }
}
