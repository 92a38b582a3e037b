/** Traces: what single clients were sent and when, while somebody looks; positions and sizes, never what was said. */
import type { Channel } from '../protocol/events.ts'
import { excerpt } from '../protocol/refusals.ts'
import { createSignal } from '../signal.ts'
import { EncodedEvent } from './tail.ts'
import { frameBytes, type Topic } from './topic.ts'
import type { Batch } from './window.ts'

/** Newest sends that are kept of one client. */
const ENTRIES_MAX = 100
/** Clients traced at once; one more ends the trace that was asked for longest ago. */
const TRACES_MAX = 16
/** A trace that nobody asks for any more ends by itself. */
const IDLE_MS = 300_000
/** An answer that waited for its first entry waits so long for company. */
const GATHER_MS = 200

/** How it left: with all members of a topic, read from the journal, or by itself. */
export const traceWays = ['topic', 'journal', 'direct'] as const

export interface TraceEntry {
  /** Counts the sends of this trace from 1. */
  readonly number: number
  readonly sent_at: string
  readonly via: (typeof traceWays)[number]
  /** Of the message: an event's, `batch`, or one of the server's own. */
  readonly type: string
  readonly channel: Channel | null
  /** Positions that it covers: those after `after` up to `upto`. */
  readonly after: number | null
  readonly upto: number | null
  readonly events: number
  /** On the wire, at most. */
  readonly bytes: number
}

export interface TraceState {
  readonly client_id: string
  /** What it was sent before it left is still told. */
  readonly connected: boolean
  readonly since: string
  readonly entries: readonly TraceEntry[]
}

/** A connection as traces see it. */
interface Traced {
  readonly id: string
  trace: Trace | undefined
  readonly framing: Parameters<EncodedEvent['frame']>[0]
  readonly subscriptions: ReadonlyMap<Channel, { readonly topic: Topic; readonly live: boolean }>
}

interface TracesOptions {
  readonly connections: ReadonlyMap<string, Traced>
  readonly now: () => Date
  readonly monotonicMs: () => number
  /** From then on nobody waits. */
  readonly draining: AbortSignal
}

/** What was sent to one client, as far as it is kept. */
export class Trace {
  entries: TraceEntry[] = []
  askedMs = 0
  private count = 0

  constructor(
    readonly since: string,
    private readonly now: () => Date,
    private readonly onNoted: () => void,
  ) {}

  /** A message of the server's own. */
  noteMessage({ type }: { readonly type?: unknown }, bytes: number): void {
    const named = { via: 'direct', type: typeof type === 'string' ? excerpt(type) : '' } as const
    this.note({ ...named, channel: null, after: null, upto: null, events: 0, bytes })
  }

  noteSent(via: 'topic' | 'journal', what: EncodedEvent | Batch, bytes: number): void {
    const { channel } = what
    const span =
      what instanceof EncodedEvent
        ? { type: what.type, after: what.seq - 1, upto: what.seq, events: 1 }
        : { type: 'batch', after: what.after, upto: what.upto, events: what.events.length }
    this.note({ via, channel, ...span, bytes })
  }

  private note(entry: Omit<TraceEntry, 'number' | 'sent_at'>): void {
    this.count += 1
    this.entries.push({ number: this.count, sent_at: this.now().toISOString(), ...entry })
    if (this.entries.length > ENTRIES_MAX) this.entries.shift()
    this.onNoted()
  }
}

export function createTraces({ connections, now, monotonicMs, draining }: TracesOptions) {
  /** By client id; who was asked for last stands last. */
  const traces = new Map<string, Trace>()
  /** Those of `traces` that are connected. */
  const traced = new Set<Traced>()
  const noted = createSignal(draining)

  function end(id: string): void {
    traces.delete(id)
    const connection = connections.get(id)
    if (!connection) return
    connection.trace = undefined
    traced.delete(connection)
  }

  /** The client's trace, if somebody asked for it lately. */
  function current(id: string): Trace | undefined {
    const trace = traces.get(id)
    if (!trace || monotonicMs() - trace.askedMs <= IDLE_MS) return trace
    end(id)
    return undefined
  }

  function asked(id: string, trace: Trace): void {
    trace.askedMs = monotonicMs()
    traces.delete(id)
    traces.set(id, trace)
    const [oldest] = traces.keys()
    if (traces.size > TRACES_MAX && oldest !== undefined) end(oldest)
  }

  function look(id: string, after: number): TraceState | undefined {
    const trace = current(id)
    if (!trace) return undefined
    const entries = trace.entries.filter(({ number }) => number > after)
    return { client_id: id, connected: connections.has(id), since: trace.since, entries }
  }

  return {
    /** Begins to trace a client, or goes on; undefined where there is no such client. */
    start(id: string): TraceState | undefined {
      const connection = connections.get(id)
      if (!connection) return undefined
      connection.trace ??= new Trace(now().toISOString(), now, noted.wakeAll)
      traced.add(connection)
      asked(id, connection.trace)
      return look(id, 0)
    },

    /** What a traced client was sent after an entry; waits for the first one. Undefined where none is traced so. */
    async read(
      id: string,
      { after, waitMs, signal }: { after: number; waitMs: number; signal: AbortSignal },
    ): Promise<TraceState | undefined> {
      const deadline = monotonicMs() + waitMs
      for (let waited = false; ; waited = true) {
        const seen = noted.version()
        const trace = current(id)
        if (trace) asked(id, trace)
        const state = look(id, after)
        const left = deadline - monotonicMs()
        const over = left <= 0 || signal.aborted || draining.aborted
        if (!state?.connected || over) return state
        if (state.entries.length > 0) {
          if (!waited) return state
          await Bun.sleep(Math.min(GATHER_MS, left))
          return look(id, after)
        }
        await noted.wait(seen, left, signal)
      }
    },

    /** A topic published: who is traced and in it was sent that. No look at anybody while nobody is traced. */
    published(topic: Topic, what: EncodedEvent | Batch): void {
      for (const { trace, subscriptions, framing } of traced) {
        const subscription = subscriptions.get(topic.channel)
        if (subscription?.live && subscription.topic === topic)
          trace?.noteSent('topic', what, frameBytes(what.frame(framing)))
      }
    },

    /** A client is gone: whoever waits for what it is sent waits no more. */
    left(connection: Traced): void {
      if (traced.delete(connection)) noted.wakeAll()
    },

    /** For every second. */
    endIdle(): void {
      for (const id of traces.keys()) current(id)
    },
  }
}
