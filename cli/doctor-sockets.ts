/** The doctor's clients: one per framing, one that joins exactly, one that leaves in the middle and comes back. */
import { CliFailure } from './rest-client.ts'
import * as z from 'zod'
import { framings } from '../lib/protocol/codec.ts'
import type { Positions } from '../lib/protocol/cursor.ts'
import type { Channel } from '../lib/protocol/events.ts'
import type { Changes } from './doctor-changes.ts'
import { clientTypesOf, needChannels, needRights, type Context } from './doctor-context.ts'
import { missteps, requireOrder } from './doctor-events.ts'
import { Fault, need } from './doctor-report.ts'
import { createSession } from './doctor-shoot.ts'
import { openWatcher, type Watcher } from './doctor-watcher.ts'

const lineage = 'RETENTION_EVENTS and RETENTION_DAYS of the server, and whether its data was replaced'

/** A client that has left, and where it wants to go on. */
export interface Leaver {
  readonly before: Watcher
  readonly cursor: string
  readonly positions: Positions
}

/** One client per framing, subscribed to all that the token lets read; those that could be opened. */
export async function openWatchers(context: Context, parts: DisposableStack): Promise<Watcher[]> {
  const { socketUrl: url, token, channels, report } = context
  const watchers: Watcher[] = []
  for (const framing of framings) {
    await report.check(`socket ${framing}`, async (note) => {
      const { own: clientType } = clientTypesOf(context)
      const watcher = parts.use(
        await openWatcher({ url, token, framing, name: framing, clientType, channels }),
      )
      await watcher.ping()
      const [fault] = watcher.faults
      if (fault)
        throw new Fault({
          expected: 'frames as PROTOCOL.md describes them',
          seen: fault,
          look: "that server's version, and what is between",
        })
      needChannels(context)
      watchers.push(watcher)
      note(`registered, subscribed to ${channels.length} channels, pong`)
    })
  }
  return watchers
}

/** Reads, lets the session be created meanwhile, and subscribes since the read: that change must come, once. */
export async function joinExactly(context: Context, changes: Changes, parts: DisposableStack): Promise<void> {
  const { api, socketUrl: url, token, channels, report } = context
  await report.check('exact join', async (note) => {
    needRights(context, 'apiRead', 'apiWrite')
    const read = await api('GET', '/api/sessions?limit=1', {
      schema: z.object({ sessions: z.array(z.unknown()) }),
    })
    changes.startAt(read.positions)
    const sessionId = await createSession(context, changes)
    needChannels(context)
    const { aside: clientType } = clientTypesOf(context)
    const options = { url, token, framing: 'json', name: 'joining', clientType, channels } as const
    const watcher = parts.use(await openWatcher({ ...options, since: read.cursor }))
    requireRecovered(watcher, channels)
    await watcher.reach(changes.position())
    requireOrder(watcher, read.positions, channels, changes.position())
    const [fault] = missteps(context, changes, watcher)
    if (fault) throw fault
    note(`session ${sessionId} was created between read and subscribe and came once`)
  })
}

/** A client that is there for the first half. */
export async function openLeaver(context: Context, parts: DisposableStack): Promise<Watcher | undefined> {
  const { socketUrl: url, token, channels } = context
  if (channels.length === 0) return undefined
  const { aside: clientType } = clientTypesOf(context)
  try {
    return parts.use(
      await openWatcher({ url, token, framing: 'json', name: 'leaving', clientType, channels }),
    )
  } catch (error) {
    // The same went wrong for the clients before, whose points say so.
    if (error instanceof Fault || error instanceof CliFailure) return undefined
    throw error
  }
}

export async function leave(before: Watcher | undefined): Promise<Leaver | undefined> {
  if (!before) return undefined
  try {
    return { before, ...(await before.ping()) }
  } catch {
    return undefined
  } finally {
    before[Symbol.dispose]()
  }
}

/** Comes back with the cursor it left with: both halves together are everything, once and in order. */
export async function checkResume(
  context: Context,
  changes: Changes,
  leaver: Leaver | undefined,
  parts: DisposableStack,
): Promise<void> {
  const { socketUrl: url, token, channels, report } = context
  await report.check('resume', async (note) => {
    const { before, cursor, positions } = need(leaver, 'no client was there to leave')
    need(changes.list.length > 0 || undefined, 'nothing was changed')
    const { aside: clientType } = clientTypesOf(context)
    const options = { url, token, framing: 'json', name: 'resumed', clientType, channels } as const
    const back = parts.use(await openWatcher({ ...options, since: cursor }))
    requireRecovered(back, channels)
    const end = changes.position()
    await back.reach(end)
    requireOrder(before, before.start, channels, positions)
    requireOrder(back, positions, channels, end)
    const [fault] = missteps(context, changes, { ...back, arrivals: [...before.arrivals, ...back.arrivals] })
    if (fault) throw fault
    note(`${before.arrivals.length} events before it left, ${back.arrivals.length} after it came back`)
  })
}

function requireRecovered({ name, recovery }: Watcher, channels: readonly Channel[]): void {
  for (const channel of channels) {
    const state = recovery[channel] as { status?: unknown; reason?: unknown } | undefined
    if (state?.status === 'recovered') continue
    const expected = `${channel} recovered on the ${name} client`
    throw new Fault({ expected, seen: JSON.stringify(state) ?? 'nothing about it', look: lineage })
  }
}
