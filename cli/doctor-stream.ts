/** The doctor's client of server-sent events: reads as a browser does (WHATWG HTML §9.2.6) until it has what it wants. */
import type { Message } from './demo-client.ts'
import { parseAs, requireStatus } from './doctor-api.ts'
import * as z from 'zod'
import { CliFailure, type Place } from './rest-client.ts'

export interface StreamRead {
  /** The last id that the stream gave. */
  readonly id: string
  readonly got: readonly Message[]
}

/** Comes with an id, and leaves as soon as it has enough. @throws {Fault} @throws {CliFailure} */
export async function readEventStream(
  { url, token, path }: Place & { readonly path: string },
  lastEventId: string,
  enough: (read: StreamRead) => boolean,
): Promise<StreamRead> {
  const authorization: Record<string, string> =
    token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const what = 'GET /api/events/stream'
  const leaving = new AbortController()
  const response = await fetch(`${url}${path}`, {
    headers: { ...authorization, 'Last-Event-ID': lastEventId },
    signal: leaving.signal,
    redirect: 'manual',
  }).catch((error: unknown) => {
    throw new CliFailure(`${what}: ${String(error)}`)
  })
  if (response.status !== 200)
    requireStatus(what, { status: response.status, text: await response.text() }, 200)
  let id = lastEventId
  const got: Message[] = []
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for await (const chunk of response.body ?? []) {
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        id = fieldOf(block, 'id') ?? id
        const text = fieldOf(block, 'data')
        if (text !== undefined) got.push(parseAs(what, { text }, z.looseObject({ type: z.string() })))
        if (enough({ id, got })) return { id, got }
      }
    }
  } finally {
    leaving.abort()
  }
  throw new CliFailure(`${what}: the stream ended after ${got.length} events`)
}

function fieldOf(block: string, name: string): string | undefined {
  const line = block.split('\n').find((text) => text.startsWith(`${name}: `))
  return line?.slice(name.length + 2)
}
