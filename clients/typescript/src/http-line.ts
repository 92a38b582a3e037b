/** The line over plain HTTP: it takes a socket's messages and answers as one would, so that the client above need not know. */
import type { Environment } from './environment.ts'
import { createCalls, endOf, HttpFailure } from './http-calls.ts'
import type { OpenPages, Page } from './http-streams.ts'
import type { Line, LineEnd, LineRequest } from './line.ts'
import { formatCursor, parseCursor } from './positions.ts'
import type { Fetch, Message, Recovery } from './types.ts'

interface HttpRequest extends LineRequest {
  readonly url: string
  readonly fetch: Fetch
  readonly environment: Environment
  readonly clientType: string
  readonly openPages: OpenPages
}

/** Channels that one request follows. */
interface Group {
  readonly where: string | undefined
  epoch: string
  readonly channels: Set<string>
  stop: () => void
}

/** A publish without an answer means a dead connection, where a custom handler may just be slow. */
const PUBLISH_MS = 8000
const TRIES = 2
/** Of what comes first on a line. */
const GREETING_MS = 5000
const REQUEST_MS = 120_000

/**
 * Events come by streams or long-polls, one for all channels with the same filter. What is sent goes through a polling
 * session, whose keys are those of `publish` over a socket: an act begun there is not done again here.
 */
export function openHttpLine(request: HttpRequest): Line {
  const { clientType, onMessage, onEnd, openPages, environment } = request
  let { token } = request
  let isOver = false
  let session = ''
  let epoch = ''
  /** Whether events came by: a proxy may answer each call, and keep a stream until it ends. */
  let hasPassed = false
  const call = createCalls({ ...request, token: () => token })
  const groups = new Set<Group>()
  /** Up to where events were handed over. */
  const positions = new Map<string, number>()
  /** What changes the groups is done one after the other. */
  let changing: Promise<void> = Promise.resolve()

  const end = (how: LineEnd) => {
    if (isOver) return
    leave()
    onEnd(how)
  }
  const leave = () => {
    isOver = true
    for (const group of groups) group.stop()
  }
  const say = (message: Message) => {
    if (!isOver) onMessage(message)
  }

  /** Hands a page over as the batches that a socket would have brought. */
  const take = ({ events, cursor, said }: Page, { channels }: Group) => {
    if (said?.type === 'disconnect') {
      const { code, reason, retry_after_ms } = said
      const wait = typeof retry_after_ms === 'number' ? { retryAfterMs: retry_after_ms } : {}
      return end({ code: Number(code), reason: String(reason), ...wait })
    }
    if (said) return say(said)
    const move = (channel: string, upto: number, own: Page['events']) => {
      const after = positions.get(channel)
      if (after === undefined || upto <= after || !channels.has(channel)) return
      positions.set(channel, upto)
      say({ type: 'batch', channel, after, upto, events: own })
    }
    for (const event of events) move(event.channel, event.seq, [event])
    for (const [channel, upto] of parseCursor(cursor ?? '')?.positions ?? []) move(channel, upto, [])
  }

  /** Begins to follow, or begins anew; resolves when it is known where. @throws as the server refuses */
  const start = async (group: Group): Promise<void> => {
    group.stop()
    if (group.channels.size === 0) return void groups.delete(group)
    const stopped = new AbortController()
    group.stop = () => stopped.abort()
    const { signal } = stopped
    const channels = [...group.channels]
    const pages = openPages({
      call,
      environment,
      signal,
      channels,
      since: () => formatCursor(group.epoch, placesOf(channels)),
      where: group.where,
    })
    const first = await pages.next()
    if (signal.aborted) return
    if (first.done) throw new Error('the stream ended before it began')
    hasPassed = true
    const begun = parseCursor(first.value.cursor ?? '')
    group.epoch = begun?.epoch ?? group.epoch
    for (const channel of channels)
      if (!positions.has(channel)) positions.set(channel, begun?.positions.get(channel) ?? 0)
    void follow(group, pages, first.value, signal)
  }
  const placesOf = (channels: readonly string[]) =>
    channels.flatMap((channel) => {
      const seq = positions.get(channel)
      return seq === undefined ? [] : [[channel, seq] as const]
    })

  const follow = async (
    group: Group,
    pages: AsyncGenerator<Page, void>,
    first: Page,
    signal: AbortSignal,
  ) => {
    // The reply to the subscription goes first.
    await changing
    try {
      for (let page: Page | undefined = first; page && !signal.aborted;) {
        const isOther = (parseCursor(page.cursor ?? '')?.epoch ?? group.epoch) !== group.epoch
        // Where the client stands has to be told anew to another journal, or another life of it.
        if (isOther) return end({ code: 1012, reason: 'the server has started anew', retryAfterMs: 0 })
        take(page, group)
        const next = await pages.next()
        page = next.done ? undefined : next.value
      }
      if (!signal.aborted) end({ code: 1006, reason: 'the stream ended' })
    } catch (error) {
      if (!signal.aborted) end(endOf(error))
    } finally {
      pages.return().catch(() => undefined)
    }
  }

  const subscribe = async (message: Message): Promise<void> => {
    const channels = message['channels'] as string[]
    const where = message['where'] === undefined ? undefined : JSON.stringify(message['where'])
    const since = parseCursor(String(message['since'] ?? ''))
    const wanted = since?.epoch ?? epoch
    const kept = new Map(channels.map((channel) => [channel, positions.get(channel)]))
    const before = [...groups].map((group) => ({ group, channels: new Set(group.channels) }))
    const changed = new Set<Group>()
    for (const group of groups)
      for (const channel of channels) if (group.channels.delete(channel)) changed.add(group)
    let group = [...groups].find((one) => one.where === where && one.epoch === wanted)
    group ??= { where, epoch: wanted, channels: new Set(), stop: () => undefined }
    groups.add(group)
    changed.delete(group)
    for (const channel of channels) {
      group.channels.add(channel)
      const seq = since?.positions.get(channel)
      if (seq !== undefined) positions.set(channel, seq)
    }
    try {
      const lost = await startSince(group)
      const recovery = Object.fromEntries(
        channels.map((channel) => [channel, lost.get(channel) ?? recoveryOf(since?.positions.has(channel))]),
      )
      for (const other of changed) await start(other)
      epoch = group.epoch
      reply(message, 'subscription_confirmed', { recovery })
    } catch (error) {
      if (!(error instanceof HttpFailure) || error.status === 401 || error.status >= 500) throw error
      // Refused as a whole: everything as it was.
      for (const [channel, seq] of kept) {
        if (seq === undefined) positions.delete(channel)
        else positions.set(channel, seq)
      }
      group.channels.clear()
      for (const { group: old, channels: own } of before) {
        for (const channel of own) old.channels.add(channel)
        groups.add(old)
        if (old === group || changed.has(old)) await start(old)
      }
      if (group.channels.size === 0) groups.delete(group)
      refuse(message, error)
    }
  }
  const recoveryOf = (hasSince: boolean | undefined): Recovery => ({
    status: hasSince ? 'recovered' : 'live',
  })

  /** Channels whose place is gone begin now instead; which, and why. */
  const startSince = async (group: Group): Promise<ReadonlyMap<string, Recovery>> => {
    try {
      await start(group)
      return new Map()
    } catch (error) {
      if (!(error instanceof HttpFailure) || error.code !== 'cursor_gone') throw error
      const gone = Object.entries(error.recovery).filter(([, { status }]) => status === 'snapshot_required')
      for (const [channel] of gone) positions.delete(channel)
      if (gone.length === 0) throw error
      await start(group)
      return new Map(gone)
    }
  }

  const reply = ({ id }: Message, type: string, fields: object) =>
    say({
      type,
      id,
      channels: [...groups].flatMap(({ channels }) => [...channels]).sort(),
      cursor: formatCursor(epoch, positions),
      ...fields,
    })
  const refuse = ({ id }: Message, { code, message, retryAfterMs }: HttpFailure) =>
    say({ type: 'error', id, code, error: message, retry_after_ms: retryAfterMs })

  const unsubscribe = async (message: Message): Promise<void> => {
    const leaving = message['channels'] as string[]
    for (const channel of leaving) positions.delete(channel)
    for (const group of groups)
      if (leaving.filter((channel) => group.channels.delete(channel)).length > 0) await start(group)
    reply(message, 'unsubscription_confirmed', {})
  }

  /** Everything begins anew where it is: with a new token, or to see whether the line still holds. */
  const restart = async (message: Message, type: string): Promise<void> => {
    for (const group of groups) await start(group)
    reply(message, type, type === 'pong' ? { cursor: undefined } : {})
  }

  const handshake = async () => {
    const body = { client_type: clientType }
    const { json } = await call('/ws/handshake', { body, timeoutMs: GREETING_MS })
    session = (json as { client_id: string }).client_id
    if (isOver) part()
  }
  /** Here nobody comes for the session any more. */
  const part = () => {
    if (session !== '') call('/ws/disconnect', { body: { client_id: session } }).catch(() => undefined)
  }
  const ask = async (message: Message, tries = 1): Promise<void> => {
    if (isOver) return
    const { id, ...rest } = message
    try {
      const timeoutMs = rest.type === 'publish' ? PUBLISH_MS : REQUEST_MS
      const { json } = await call('/ws/send', { body: { client_id: session, message: rest }, timeoutMs })
      const { response } = json as { response: Message | null }
      if (response) say({ ...response, id })
    } catch (error) {
      const isPublish = rest.type === 'publish'
      // What a proxy says of a server that it does not reach, or not any more, is no answer: the act may have happened.
      const hasAnswer = error instanceof HttpFailure && !(isPublish && error.code.startsWith('http_5'))
      // With its key it happens once, however often it is asked for; another connection may do.
      const isRepeatable = !hasAnswer && isPublish
      if (isRepeatable && tries < TRIES) return await ask(message, tries + 1)
      if (!hasAnswer || error.status === 401) return end(endOf(error))
      // The session has ended, as one does that is not used for a while.
      if (error.status !== 404 || tries >= TRIES) return refuse(message, error)
      await handshake()
      await ask(message, tries + 1)
    }
  }

  const open = async () => {
    await handshake()
    if (isOver) return
    const { json } = await call('/ws/poll', { query: { client_id: session }, timeoutMs: GREETING_MS })
    const { messages } = json as { messages: Message[] }
    const greeting = messages.find(({ type }) => type === 'connection_established')
    if (!greeting) throw new Error('the session has no greeting')
    epoch = String(greeting['epoch'])
    // A poll that comes behind the end of its session begins another.
    const asked = session
    session = String(greeting['client_id'] ?? asked)
    if (isOver && session !== asked) part()
    say({ ...greeting, heartbeat_ms: undefined })
  }
  const change = (act: () => Promise<void>) => {
    changing = changing
      .then(() => (isOver ? undefined : act()))
      .catch((error: unknown) => end({ ...endOf(error, epoch === ''), isBlocked: !hasPassed }))
  }
  change(open)

  return {
    send(message) {
      if (isOver) return
      const { type } = message
      if (type === 'register') return reply(message, 'registration_confirmed', { client_id: session })
      if (type === 'subscribe') return change(() => subscribe(message))
      if (type === 'unsubscribe') return change(() => unsubscribe(message))
      if (type === 'ping') return change(() => restart(message, 'pong'))
      if (type === 'auth') {
        token = String(message['token'])
        return change(() => restart(message, 'authenticated'))
      }
      ask(message).catch((error: unknown) => end(endOf(error)))
    },
    close() {
      leave()
      part()
    },
  }
}
