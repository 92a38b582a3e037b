/** The doctor's verdict on what the clients were given: all of it, once, in order, alike, and soon. */
import type { Positions } from '../lib/protocol/cursor.ts'
import { catalogue, envelopeFields, type Channel } from '../lib/protocol/events.ts'
import type { Message } from './demo-client.ts'
import type { Change, Changes, Expected } from './doctor-changes.ts'
import type { Context } from './doctor-context.ts'
import { Fault, need, NotTried } from './doctor-report.ts'
import { namesOf } from './doctor-shoot.ts'
import type { Arrival, Watcher } from './doctor-watcher.ts'

/** From an answer to its last event; processes that share a database hear of each other within a second. */
const LATENCY_MS_MAX = 2000
const journal = "the server's log, and what stands between (a proxy must pass every frame once)"

/** Judges what the watchers got up to `end`. */
export async function judgeEvents(
  context: Context,
  changes: Changes,
  watchers: readonly Watcher[],
  end: Positions,
): Promise<void> {
  const { report } = context
  const some = () => need(watchers.length > 0 ? watchers : undefined, 'no socket watches')
  const changed = () => need(changes.list.length > 0 ? some() : undefined, 'nothing was changed')
  for (const { arrivals } of watchers) noteTakers(changes, arrivals, namesOf(context).worker)
  await report.check('frames as documented', async (note) => {
    for (const { name, faults } of some()) {
      const [seen] = faults
      if (seen === undefined) continue
      throw new Fault({ expected: `frames as PROTOCOL.md describes them on ${name}`, seen, look: journal })
    }
    note(`${watchers.reduce((sum, { arrivals }) => sum + arrivals.length, 0)} events, every field checked`)
  })
  await report.check('every event once', async (note) => {
    const faults = changed().flatMap((watcher) => missteps(context, changes, watcher).slice(0, 1))
    if (faults[0]) throw faults[0]
    note(summaryOf(changes, context.channels))
  })
  await report.check('events in order', async (note) => {
    for (const watcher of changed()) requireOrder(watcher, watcher.start, context.channels, end)
    note(`no gap and no repeat in ${context.channels.join(' ')}`)
  })
  await report.check('framings agree', async (note) => {
    const [first, ...others] = changed()
    if (!first || others.length === 0) throw new NotTried('fewer than two sockets watch')
    for (const other of others) requireEqual(first, other, end)
    note(watchers.map(({ framing }) => framing).join(' = '))
  })
  await report.check('latency', async (note) => {
    const latencies = some().flatMap(({ arrivals }) => latenciesOf(changes, arrivals))
    const sorted = latencies.toSorted((a, b) => a - b)
    const worst = need(sorted.at(-1), 'no event of this run came')
    const median = sorted[Math.floor(sorted.length / 2)] ?? worst
    const seen = `median ${after(median)}, worst ${after(worst)}`
    if (worst > LATENCY_MS_MAX) {
      const expected = `every event within ${LATENCY_MS_MAX} ms of its answer`
      throw new Fault({ expected, seen, look: 'the load of that machine and of what is between' })
    }
    note(`from the answer to the event: ${seen}`)
  })
}

/** A worker of somebody else may have had a job of ours between two looks of ours. */
function noteTakers(changes: Changes, arrivals: readonly Arrival[], worker: string): void {
  for (const { event } of arrivals) {
    if (event['type'] !== 'job_started' || event['worker'] === worker || !changes.owns(event)) continue
    changes.noteTaken(String(event['job_id']), String(event['worker']))
  }
}

/** Each channel's events after `start`, one by one up to `end`. @throws {Fault} */
export function requireOrder(
  { name, arrivals }: Pick<Watcher, 'name' | 'arrivals'>,
  start: Positions,
  channels: readonly Channel[],
  end: Positions,
): void {
  for (const channel of channels) {
    let position = start[channel] ?? 0
    for (const { event } of arrivals) {
      if (event['channel'] !== channel) continue
      if (event['seq'] !== position + 1) {
        const expected = `${channel} seq ${position + 1} next on ${name}`
        const seen = `${String(event['type'])} with seq ${String(event['seq'])}`
        throw new Fault({ expected, seen, look: journal })
      }
      position += 1
    }
    if (position < (end[channel] ?? 0)) {
      const expected = `${channel} up to seq ${end[channel]} on ${name}`
      throw new Fault({ expected, seen: `the last at ${position}`, look: journal })
    }
  }
}

/** Every way in which a watcher got something else than what must follow from the changes. */
export function missteps({ channels }: Context, changes: Changes, { name, arrivals }: Watcher): Fault[] {
  return changes.list.flatMap((change) => {
    const came = arrivals.flatMap(({ event }) => (lies(event, change) ? [event] : []))
    const unmatched = came.filter((event) => changes.owns(event))
    const wanted = change.expected.filter(({ type, data }) => {
      return channels.includes(catalogue[type].channel) && (!data || changes.owns({ type, ...data }))
    })
    const fault = (expected: string, seen: string) =>
      new Fault({ expected: `${expected} after ${change.what} on ${name}`, seen, look: journal })
    const lacking = wanted.flatMap((expected) => {
      const { type, data } = expected
      if (!data) return countFault(expected, came, changes, channels, fault)
      const at = unmatched.findIndex((event) => event['type'] === type && fits(event, data))
      if (at >= 0) {
        unmatched.splice(at, 1)
        return []
      }
      const near = unmatched.findIndex((event) => event['type'] === type)
      const [other] = near >= 0 ? unmatched.splice(near, 1) : []
      return [fault(`${type} ${JSON.stringify(data)}`, other ? difference(other, data) : 'no such event')]
    })
    const surplus = unmatched.map((event) =>
      fault(
        'no further event',
        `${String(event['type'])} at ${String(event['channel'])} ${String(event['seq'])}`,
      ),
    )
    return [...lacking, ...surplus]
  })
}

/** Counts of everybody come once, or more often where others changed something meanwhile. */
function countFault(
  { type }: Expected,
  came: readonly Message[],
  changes: Changes,
  channels: readonly Channel[],
  fault: (expected: string, seen: string) => Fault,
): Fault[] {
  const times = came.filter((event) => event['type'] === type).length
  const counted = ['jobs', 'photos', 'sessions'] as const
  const othersToo =
    counted.some((channel) => !channels.includes(channel)) ||
    changes.takenJobs.size > 0 ||
    came.some((event) => counted.some((channel) => event['channel'] === channel) && !changes.owns(event))
  if (times === 1 || (times > 1 && othersToo)) return []
  return [fault(`${type} once`, times === 0 ? 'no such event' : `it ${times} times`)]
}

function lies(event: Message, { before, after: upto }: Change): boolean {
  const channel = event['channel'] as Channel
  const seq = Number(event['seq'])
  return seq > (before[channel] ?? 0) && seq <= (upto[channel] ?? 0)
}

function fits(event: Message, data: Readonly<Record<string, unknown>>): boolean {
  return Bun.deepEquals(fieldsOf(event), data, true)
}

function fieldsOf(event: Message): Record<string, unknown> {
  const envelope: readonly string[] = envelopeFields
  return Object.fromEntries(Object.entries(event).filter(([name]) => !envelope.includes(name)))
}

function difference(event: Message, data: Readonly<Record<string, unknown>>): string {
  const fields = fieldsOf(event)
  const names = [...new Set([...Object.keys(data), ...Object.keys(fields)])]
  const name = names.find((field) => !Bun.deepEquals(fields[field], data[field], true)) ?? ''
  const shown = JSON.stringify(fields[name]) ?? 'left out'
  return `${String(event['type'])} with ${name} ${shown}`
}

function requireEqual(first: Watcher, other: Watcher, end: Positions): void {
  const key = (event: Message) => `${String(event['channel'])} ${String(event['seq'])}`
  const held = new Map(first.arrivals.map(({ event }) => [key(event), event]))
  const common = ({ event }: Arrival) => {
    const channel = event['channel'] as Channel
    const from = Math.max(first.start[channel] ?? 0, other.start[channel] ?? 0)
    return Number(event['seq']) > from && Number(event['seq']) <= (end[channel] ?? 0)
  }
  const mine = first.arrivals.filter(common).length
  const theirs = other.arrivals.filter(common)
  const odd = theirs.find(({ event }) => !Bun.deepEquals(held.get(key(event)), event, true))
  if (!odd && mine === theirs.length) return
  const expected = `the same events on ${first.name} and ${other.name}`
  const seen = odd
    ? `${key(odd.event)} (${String(odd.event['type'])}) on ${other.name} alone, or with other values`
    : `${mine} and ${theirs.length}`
  throw new Fault({ expected, seen, look: journal })
}

function latenciesOf(changes: Changes, arrivals: readonly Arrival[]): number[] {
  return changes.list.flatMap((change) =>
    arrivals.flatMap(({ event, atMs }) =>
      lies(event, change) && changes.owns(event) ? [atMs - change.answeredAtMs] : [],
    ),
  )
}

function after(ms: number): string {
  return `${Math.abs(ms).toFixed(1)} ms${ms < 0 ? ' before it' : ''}`
}

function summaryOf(changes: Changes, channels: readonly Channel[]): string {
  const expected = changes.list
    .flatMap((change) => change.expected)
    .filter(({ type }) => channels.includes(catalogue[type].channel))
  const types = new Set(expected.map(({ type }) => type)).size
  return `${expected.length} events of ${types} types from ${changes.list.length} changes`
}
