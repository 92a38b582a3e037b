/** Hooks for React: a client for the tree, and what it says as state that components read. */
import {
  createContext,
  createElement,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
  type ReactElement,
  type ReactNode,
} from 'react'
import {
  channelOf,
  stateKeys,
  type Channel,
  type EventMap,
  type EventType,
  type LightwireEvent,
} from './events.ts'
import { matches } from './matches.ts'
import { createStore, type Store } from './react-store.ts'
import type { Client, Read, Snapshot, Status, SubscribeOptions } from './types.ts'

const EVENTS_MAX = 100
const KEYS_MAX = 1000

const Context = createContext<Client | undefined>(undefined)

interface ProviderProps {
  readonly client: Client
  readonly children?: ReactNode
}

/** Gives the tree its client, which is made and closed outside: it is to outlive every render. */
export function LightwireProvider({ client, children }: ProviderProps): ReactElement {
  return createElement(Context.Provider, { value: client }, children)
}

export function useLightwire(): Client {
  const client = useContext(Context)
  if (!client) throw new Error('there is no LightwireProvider above this component')
  return client
}

export function useStatus(): Status {
  const client = useLightwire()
  const subscribe = useMemo(() => (onChange: () => void) => client.onStatus(onChange), [client])
  const read = () => client.status
  return useSyncExternalStore(subscribe, read, read)
}

export interface EventsOptions extends SubscribeOptions {
  /** The newest so many are kept. */
  readonly limit?: number
}

/** The newest events of these channels since the component is there, oldest first. */
export function useEvents(
  channels: readonly Channel[],
  options: EventsOptions = {},
): readonly LightwireEvent[] {
  const { limit = EVENTS_MAX } = options
  return useStore<readonly LightwireEvent[]>([channels, options], (client) =>
    createStore<readonly LightwireEvent[]>([], (update) =>
      heard(client, channels, options, {
        onEvent: (event) => update((events) => [...events.slice(1 - limit), event].slice(-limit)),
        onLost: () => update(() => []),
      }),
    ),
  )
}

export interface LatestOptions extends SubscribeOptions {
  /** Fields that name what an event is about. For state events the protocol says them. */
  readonly by?: readonly string[]
  /** The newest so many keys are kept. */
  readonly limit?: number
}

/** The newest event of a type per key, `job_progress` per job say; the one that changed last comes last. */
export function useLatest<T extends EventType>(
  type: T,
  options: LatestOptions = {},
): ReadonlyMap<string, EventMap[T]> {
  type Latest = ReadonlyMap<string, EventMap[T]>
  const { limit = KEYS_MAX } = options
  const known: Readonly<Partial<Record<EventType, readonly string[]>>> = stateKeys
  const { by = known[type] ?? [] } = options
  const add = (latest: Latest, event: EventMap[T]): Latest => {
    const key = by.map((field) => String(event[field as keyof EventMap[T]])).join(' ')
    const next = new Map(latest)
    next.delete(key)
    next.set(key, event)
    for (const oldest of next.keys()) {
      if (next.size <= limit) break
      next.delete(oldest)
    }
    return next
  }
  return useStore<Latest>([type, options], (client) =>
    createStore<Latest>(new Map(), (update) =>
      heard(client, [channelOf[type]], options, {
        onEvent(event) {
          // Of this type, so with its fields.
          if (event.type === type) update((latest) => add(latest, event as EventMap[T]))
        },
        onLost: () => update(() => new Map()),
      }),
    ),
  )
}

/**
 * A state that is read from the server and kept by its events; undefined until it is there, read again whenever the
 * position was lost. A source that is a function is called again only when `channels` or `options` change.
 */
export function useSnapshot<T>(
  source: string | ((read: Read) => Promise<Snapshot<T>>),
  channels: readonly Channel[],
  reduce: (state: T, event: LightwireEvent) => T,
  options: SubscribeOptions = {},
): T | undefined {
  const latest = useRef({ source, reduce })
  useEffect(() => void (latest.current = { source, reduce }))
  const key = typeof source === 'string' ? source : ''
  return useStore<T | undefined>([key, channels, options], (client) =>
    createStore<T | undefined>(undefined, (update) => {
      // Thrown here it would take the page down, which is to say that the client is closed.
      if (client.status === 'closed') return () => undefined
      const { stop } = client.snapshotThenFollow<T>(latest.current.source, channels, {
        ...options,
        onSnapshot: (value) => update(() => value),
        onEvent: (event) =>
          update((state) => (state === undefined ? state : latest.current.reduce(state, event))),
      })
      return stop
    }),
  )
}

interface Heard {
  readonly onEvent: (event: LightwireEvent) => void
  readonly onLost: () => void
}

/** Holds the channels and hears of their events; returns what ends it. */
function heard(
  client: Client,
  channels: readonly Channel[],
  { where, batchMs, conflate }: SubscribeOptions,
  { onEvent, onLost }: Heard,
): () => void {
  const own = new Set<string>(channels)
  const endings = [
    client.on('*', (event) => {
      if (own.has(event.channel) && matches(where, event)) onEvent(event)
    }),
    client.onStateLost((lost) => {
      if (lost.some((channel) => own.has(channel))) onLost()
    }),
  ]
  if (client.status !== 'closed') {
    const { release } = client.hold(channels, {
      ...(where ? { where } : {}),
      ...(batchMs === undefined ? {} : { batchMs }),
      ...(conflate ? { conflate } : {}),
    })
    endings.push(release)
  }
  return () => endings.forEach((end) => end())
}

/** One store for as long as the arguments mean the same. */
function useStore<T>(key: readonly unknown[], create: (client: Client) => Store<T>): T {
  const client = useLightwire()
  const text = JSON.stringify(key)
  // oxlint-disable-next-line react-hooks/exhaustive-deps -- what is created depends on the client and the key alone
  const store = useMemo(() => create(client), [client, text])
  return useSyncExternalStore(store.subscribe, store.read, store.read)
}
