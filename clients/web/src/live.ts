/** One life of the page with one token: the client, the model it feeds, and what the views hear of both. */
import { createClient, type Client, type Status } from '../../typescript/src/client.ts'
import type { LightwireEvent } from '../../typescript/src/events.ts'
import { createApi, type Api } from './api.ts'
import { createDecisions, type Decisions } from './decisions.ts'
import { load, type Loaded } from './model/load.ts'
import { createModel, type Model } from './model/model.ts'
import type { SampleRead } from './model/rates.ts'
import { createNotices, type Notices } from './notices.ts'
import { rightsOf, type Rights } from './rights.ts'
import { createStore, type Store } from './store.ts'
import { createThumbnails, type Thumbnails } from './thumbnails.ts'

const SECOND_MS = 1000
/** With so many events in one frame the next one comes later. */
const BUSY_EVENTS = 100
/** Applied at once, frame or not: what waits is bounded. */
const WAITING_MAX = 5000
const BATCH_MS = 100
const PHONE_BATCH_MS = 500
/** Longer edge in pixels, as the route offers them: sharp on a desk, light on a phone. */
const THUMBNAIL = 640
const PHONE_THUMBNAIL = 320

export interface Link {
  readonly status: Status
  /** Why it closed: the server's code. */
  readonly code: string | undefined
}

export interface Live {
  readonly hasToken: boolean
  readonly rights: Rights
  readonly api: Api
  readonly client: Client
  readonly model: Model
  readonly store: Store
  readonly notices: Notices
  readonly decisions: Decisions
  readonly thumbnails: Thumbnails
  readonly link: () => Link
  /** Until when what is shown is known to be true: now, or when something last came, however late the loss was noticed. */
  readonly lastHeard: () => number
  /** Calls with each sample that the server sends. Returns what ends it. */
  onSample(act: () => void): () => void
  close(): void
}

export function createLive(token: string | undefined): Live {
  const rights = rightsOf(token)
  const isPhone = matchMedia('(max-width: 700px), (pointer: coarse)').matches
  let waiting: LightwireEvent[] = []
  let link: Link = { status: 'connecting', code: undefined }
  const samplers = new Set<() => void>()

  const flush = () => {
    const events = waiting
    waiting = []
    for (const event of events) model.apply(event)
    decisions.prune((id) => model.approval.get(id) !== undefined)
    return events.length > BUSY_EVENTS
  }
  const ending = new AbortController()
  const store = createStore(flush, ending.signal)
  const api = createApi(() => token, ending.signal)
  const model = createModel(api, store.touch, ending.signal)
  const notices = createNotices(() => store.touch('notices'))
  const thumbnails = createThumbnails(api, isPhone ? PHONE_THUMBNAIL : THUMBNAIL)
  const decisions = createDecisions({ api, onChange: () => store.touch('approval') })

  const client = createClient({
    url: location.origin,
    ...(token === undefined ? {} : { getToken: () => token }),
    clientType: isPhone ? 'mobile' : 'web',
    clientName: rights.subject === '' ? 'dashboard' : `dashboard of ${rights.subject}`.slice(0, 100),
    // A phone pays for each byte and each wake of its radio; a desk wants every step.
    framing: isPhone ? 'deflate' : 'json',
    onError: (error) => console.warn('lightwire', error),
  })
  let heard = Date.now()
  client.onStatus((status, code) => {
    link = { status, code: code ?? (status === 'closed' ? link.code : undefined) }
    store.touch('link')
    // The token has ended, and there is no other to come back with.
    if (status === 'waiting' && code === 'unauthenticated') client.close()
  })
  client.onMessage((message) => {
    heard = Date.now()
    const { type } = message
    if (type === 'resource_sample') {
      // The server's own message, as asyncapi.yaml has it.
      model.rates.add(message as unknown as SampleRead)
      store.touch('rates')
      for (const act of samplers) act()
    } else if (typeof message['text'] === 'string') notices.add('said', message['text'])
  })
  const following =
    rights.channels.length === 0
      ? undefined
      : client.snapshotThenFollow<Loaded>(() => load(api, rights), rights.channels, {
          batchMs: isPhone ? PHONE_BATCH_MS : BATCH_MS,
          ...(isPhone ? { conflate: true } : {}),
          onSnapshot(loaded) {
            heard = Date.now()
            waiting = []
            model.reset(loaded)
          },
          onEvent(event) {
            heard = Date.now()
            waiting.push(event)
            if (waiting.length >= WAITING_MAX) flush()
            store.request()
          },
        })
  following?.ready.catch((error: unknown) => console.warn('lightwire', error))
  const ticking = setInterval(() => {
    if (link.status === 'connected') model.rates.tick(client.cursor, Date.now())
    else model.rates.pause()
    store.touch('rates')
  }, SECOND_MS)

  return {
    hasToken: token !== undefined,
    rights,
    api,
    client,
    model,
    store,
    notices,
    decisions,
    thumbnails,
    link: () => link,
    lastHeard: () => (link.status === 'connected' ? Date.now() : heard),
    onSample(act) {
      samplers.add(act)
      return () => samplers.delete(act)
    },
    close() {
      ending.abort()
      clearInterval(ticking)
      following?.stop()
      thumbnails.close()
      client.close()
    },
  }
}
