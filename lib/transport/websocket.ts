/** The WebSocket transport: upgrades by Bun's own server, and its handlers, none of which can take the process down. */
import type { Server, ServerWebSocket, WebSocketHandler } from 'bun'
import { negotiate, type Framing } from '../protocol/codec.ts'
import { Refusal } from '../protocol/refusals.ts'
import type { Origins } from '../access/origins.ts'
import type { Principal } from '../access/rights.ts'
import type { Place, Room } from '../access/room.ts'
import type { Connection } from '../realtime/connection.ts'
import { webSocketMedium } from '../realtime/medium.ts'
import { BACKPRESSURE_LIMIT } from '../realtime/sweep.ts'
import type { Hub } from '../realtime/hub.ts'

/** An upgrade that waits for its token longer than this is given up. */
const UPGRADE_TIMEOUT_SECONDS = 5
/** Upgrades that wait for their token at once. */
const UPGRADES_PENDING_MAX = 2000
/** Longest that Bun itself lets a silent socket stand; our own liveness is stricter. */
const IDLE_TIMEOUT_SECONDS = 960

/** What a socket carries from its upgrade to its end. */
export interface SocketData {
  readonly framing: Framing
  readonly who: Principal | Refusal | undefined
  readonly place: Place
  readonly requestId: string
  connection?: Connection
}

export interface WebSocketOptions {
  /** Set once the server listens; no request comes before. */
  readonly origins: () => Origins
  readonly hub: () => Hub
  /** Who may do everything without a token (`AUTH=off`). */
  readonly anyone: Principal | undefined
  readonly verify: (token: string, address: string) => Promise<Principal>
  readonly room: Room
  /** Counts an upgrade without a good token. @throws {Refusal} `rate_limited` */
  readonly requireUpgrade: (address: string) => void
  /** Counts a request of a subject. @throws {Refusal} `rate_limited` */
  readonly requireRequest: (subject: string) => void
  /** @throws {Refusal} `draining` */
  readonly requireOpen: () => void
  readonly frameBytesMax: number
  readonly onBug: (error: unknown) => void
  readonly onOpen: (connection: Connection, subject: string | undefined, requestId: string) => void
  /** The socket is gone; `code` is what the close frame of either side said, 1006 without one. */
  readonly onClosed: (connection: Connection, code: number, reason: string) => void
}

export function createWebSocketTransport(options: WebSocketOptions) {
  let pending = 0

  /** Runs a handler; what it throws is logged and costs that socket only. */
  const guarded = (socket: ServerWebSocket<SocketData>, act: () => void) => {
    try {
      act()
    } catch (error) {
      options.onBug(error)
      socket.close(1011, 'internal error')
    }
  }

  const handler: WebSocketHandler<SocketData> = {
    maxPayloadLength: options.frameBytesMax,
    backpressureLimit: BACKPRESSURE_LIMIT,
    closeOnBackpressureLimit: false,
    idleTimeout: IDLE_TIMEOUT_SECONDS,
    sendPings: false,
    perMessageDeflate: false,
    open: (socket) =>
      guarded(socket, () => {
        const { framing, who, place, requestId } = socket.data
        const connection = options.hub().attach(socket, webSocketMedium(framing), place)
        // Before it is welcomed: closing a socket runs its close handler at once.
        socket.data.connection = connection
        options.onOpen(connection, who instanceof Refusal ? undefined : who?.subject, requestId)
        options.hub().welcome(connection, who)
      }),
    message: (socket, frame) => guarded(socket, () => socket.data.connection?.receive(frame)),
    drain: (socket) => guarded(socket, () => socket.data.connection?.drained()),
    pong: (socket) => guarded(socket, () => socket.data.connection?.heard()),
    ping: (socket) => guarded(socket, () => socket.data.connection?.pinged()),
    close: (socket, code, reason) =>
      guarded(socket, () => {
        const { connection, place } = socket.data
        if (!connection) return place[Symbol.dispose]()
        options.hub().detach(connection)
        const ended = connection.ended ?? { code, reason }
        options.onClosed(connection, ended.code, ended.reason)
      }),
    error: (_socket, error) => options.onBug(error),
  }

  return {
    handler,

    /**
     * Answers `GET /ws`: undefined when the connection was upgraded.
     * @throws {Refusal} about origin, host, protocol, rate, capacity or a drain; a bad token is told on the socket
     */
    async upgrade(
      request: Request,
      server: Server<SocketData>,
      { requestId, address }: { readonly requestId: string; readonly address: string },
    ): Promise<Response | undefined> {
      const { headers } = request
      const url = new URL(request.url)
      options.origins().requireOrigin(headers.get('origin'))
      if (request.method !== 'GET') throw new Refusal('method_not_allowed', 'this address takes GET')
      // Bun does not ask for Connection; a proxy that does would take what follows for requests.
      const isUpgrade = /(?:^|,)\s*upgrade\s*(?:,|$)/i.test(headers.get('connection') ?? '')
      if (!isUpgrade || headers.get('upgrade')?.toLowerCase() !== 'websocket') {
        throw new Refusal('invalid_message', 'this address speaks WebSocket (RFC 6455); send an upgrade')
      }
      if (url.searchParams.has('token') || url.searchParams.has('access_token')) {
        throw new Refusal('invalid_message', 'a token in the query string would land in logs; use the header')
      }
      const { framing, answer, bearer } = negotiate(
        headers.get('sec-websocket-protocol'),
        url.searchParams.get('format'),
      )
      // Bun never times a pending upgrade out.
      server.timeout(request, UPGRADE_TIMEOUT_SECONDS)
      const who = await identified(headers.get('authorization'), bearer, address)
      const subject = who instanceof Refusal ? undefined : who?.subject
      if (subject === undefined) options.requireUpgrade(address)
      else options.requireRequest(subject)
      // Last, so that nobody is let in after all others were sent away.
      options.requireOpen()
      const place = options.room.take({ address, subject })
      const upgraded = server.upgrade(request, {
        data: { framing, who, place, requestId },
        // Without it Bun would echo the first offered name, which may be `bearer.<token>`.
        headers: answer === undefined ? {} : { 'Sec-WebSocket-Protocol': answer },
      })
      if (upgraded) return undefined
      place[Symbol.dispose]()
      throw new Refusal('invalid_message', 'the upgrade is not acceptable (RFC 6455 §4.2.1)')
    },
  }

  /** As `identify`, for a bounded number of upgrades at once. @throws {Refusal} `too_many_connections` */
  async function identified(...upgrade: Parameters<typeof identify>) {
    if (pending >= UPGRADES_PENDING_MAX) {
      const sentence = `${UPGRADES_PENDING_MAX} upgrades are under way`
      throw new Refusal('too_many_connections', sentence, { retryAfterMs: UPGRADE_TIMEOUT_SECONDS * 1000 })
    }
    pending += 1
    try {
      return await identify(...upgrade)
    } finally {
      pending -= 1
    }
  }

  /**
   * The principal of the upgrade's token, the refusal of a bad one, undefined without any.
   * @throws {Refusal} `rate_limited` after too many bad ones, which no socket is opened for
   */
  async function identify(authorization: string | null, bearer: string | undefined, address: string) {
    if (options.anyone) return options.anyone
    const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? bearer
    if (token === undefined) {
      return authorization === null
        ? undefined
        : new Refusal('invalid_token', 'Authorization: expected Bearer <token>')
    }
    try {
      return await options.verify(token, address)
    } catch (error) {
      if (error instanceof Refusal && error.code !== 'rate_limited') return error
      throw error
    }
  }
}
