/** What a driver of the TypeScript client does with each command, in whatever runs it: Bun, Node or a page. */
import {
  createClient,
  LightwireError,
  memoryStorage,
  type Channel,
  type Client,
  type ClientOptions,
  type Draft,
  type SubscribeOptions,
} from '../../../clients/typescript/src/client.ts'
import type { Command, Report, State, Answer, Seen } from '../driver.ts'

interface Outside {
  readonly say: (line: Answer | Report) => void
  /** Where the platform has none. */
  readonly WebSocket?: unknown
}

/** Acts on one numbered command; resolves with whether it was the last. */
export function actOn({ say, WebSocket }: Outside): (command: Command & { n: number }) => Promise<boolean> {
  let client: Client | undefined
  let token = ''
  let tokensAsked = 0
  const followed = new Set<string>()
  const there = (): Client => {
    if (!client) throw new LightwireError('closed', 'not connected yet')
    return client
  }

  const connect = (command: Extract<Command, { do: 'connect' }>): Promise<null> => {
    const { url, transport, framing, clientType, clientName, cursor } = command
    token = command.token
    const made = createClient({
      url,
      getToken: () => {
        tokensAsked += 1
        return token
      },
      ...(transport ? { transport } : {}),
      ...(framing ? { framing } : {}),
      ...(clientType ? { clientType } : {}),
      ...(clientName ? { clientName } : {}),
      storage: memoryStorage(cursor ?? null),
      ...(WebSocket ? { WebSocket: WebSocket as NonNullable<ClientOptions['WebSocket']> } : {}),
      onError: (error) => console.error(String(error)),
    })
    client = made
    made.onStateLost((channels) => {
      // Of what is followed the library reads the state again by itself.
      const lost = channels.filter((channel) => !followed.has(channel))
      if (lost.length > 0) say({ lost })
    })
    made.on('*', (event) => {
      if (!followed.has(event.channel)) say({ event: seen(event) })
    })
    return new Promise((resolve, reject) => {
      made.onStatus((status, code) => {
        say({ status, ...(code === undefined ? {} : { code }) })
        if (status === 'connected') resolve(null)
        if (status === 'closed') reject(new LightwireError(code ?? 'closed', 'it is over'))
      })
    })
  }
  // The catalogue's fields, whatever they are.
  const seen = (event: object) => event as Seen

  const follow = async ({ path, channels }: Extract<Command, { do: 'follow' }>) => {
    for (const channel of channels) followed.add(channel)
    const following = there().snapshotThenFollow<unknown>(path, channels as Channel[], {
      onSnapshot: (snapshot) => say({ snapshot }),
      onEvent: (event) => say({ event: seen(event) }),
    })
    await following.ready
    return null
  }

  const state = (): State => {
    const { cursor, status, transport } = there()
    return { cursor, status, transport, tokensAsked }
  }

  const run = async (command: Command): Promise<unknown> => {
    switch (command.do) {
      case 'connect':
        return await connect(command)
      case 'token':
        token = command.token
        return null
      case 'subscribe': {
        const { channels, where, batchMs, conflate } = command
        const options = {
          ...(where ? { where: where as NonNullable<SubscribeOptions['where']> } : {}),
          ...(batchMs === undefined ? {} : { batchMs }),
          ...(conflate === undefined ? {} : { conflate }),
        }
        return (await there().subscribe(channels as Channel[], options)).channels
      }
      case 'unsubscribe':
        return await there().unsubscribe(command.channels as Channel[])
      case 'follow':
        return await follow(command)
      case 'publish': {
        const { event, key } = command
        return (await there().publish(event as Draft, key === undefined ? {} : { key })).seq
      }
      case 'state':
        return state()
      case 'close':
        there().close()
        return null
    }
  }

  return async (command) => {
    const answer = run(command).then(
      (ok) => say({ re: command.n, ok }),
      (error: unknown) => {
        const code = error instanceof LightwireError ? error.code : 'internal'
        say({ re: command.n, refused: { code, message: String(error) } })
      },
    )
    // Other commands need not wait for the answer.
    if (command.do !== 'close') return false
    await answer
    return true
  }
}
