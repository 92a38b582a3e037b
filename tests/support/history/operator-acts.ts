/** Acts of operators and outside systems: announced states, published events, words to all, ends to some, tokens. */
import { channels } from '../../../lib/protocol/events.ts'
import { drawEvent } from './outside.ts'
import type { RevocationRecord, WordRecord } from './operator-record.ts'
import type { Expected } from './record.ts'
import type { Act, Work } from './work.ts'

const EVENTS_PER_BULK_MAX = 25

export const clientTypes = ['gui', 'web', 'mobile'] as const

export function operatorActs(work: Work): Act[] {
  return [
    { weight: 1, run: () => announce(work) },
    { weight: 1, run: () => reportError(work) },
    { weight: 2, run: () => publish(work) },
    { weight: 1, run: () => publishRefused(work) },
    { weight: 1, run: () => broadcastEvent(work) },
    { weight: 2, run: () => broadcastWord(work) },
    { weight: 1, run: () => disconnect(work) },
    { weight: 1, run: () => trace(work) },
    { weight: 2, run: () => issue(work) },
    { weight: 1, run: () => revoke(work) },
  ]
}

async function announce({ calls, random, serial }: Work): Promise<void> {
  const body = { status: random.pick(['paused', 'running']), details: { n: serial() } }
  await calls.write('POST /api/system/status', {
    what: `status ${body.details.n}`,
    body,
    events: [{ type: 'system_status', ...body }],
  })
}

async function reportError({ calls, random, state, serial }: Work): Promise<void> {
  const photo = state.photos.length > 0 && random.chance(0.5) ? random.pick(state.photos).id : undefined
  const body = {
    error_type: 'plugin',
    error_message: `broken ${serial()}`,
    error_details: { line: random.int(1, 99) },
    ...(photo === undefined ? {} : { photo_id: photo }),
  }
  await calls.write('POST /api/system/errors', {
    what: body.error_message,
    body,
    events: [{ type: 'error_occurred', ...body }],
  })
}

/** One event, or many at once; the answer numbers each. */
async function publish({ calls, random, serial }: Work): Promise<void> {
  const length = random.chance(0.5) ? 1 : random.int(1, EVENTS_PER_BULK_MAX)
  const events = Array.from({ length }, () => drawEvent(random, serial()))
  await calls.write<{ published: { channel: string; seq: number }[] }>('POST /api/events', {
    what: `${length} published events`,
    body: length === 1 && random.chance(0.8) ? events[0] : events,
    events,
    learned: ({ published }) => events.map((event, index) => ({ ...event, ...published[index] })),
  })
}

/** Its last event is about a session held here: nothing of it may appear. */
async function publishRefused({ calls, random, state, history, serial }: Work): Promise<void> {
  if (state.sessions.length === 0) return
  const { id } = random.pick(state.sessions)
  const events = Array.from({ length: random.int(1, 5) }, () => drawEvent(random, serial()))
  const held = { type: 'session_deleted', session_id: id, session_name: 'not yours' } satisfies Expected
  const answer = await calls.write('POST /api/events', {
    what: `published events about session ${id}`,
    body: [...events, held],
    events: [...events, held],
  })
  if (answer !== undefined) history.unexpected.push(`an event about the held session ${id} was published`)
}

async function broadcastEvent({ calls, random, serial }: Work): Promise<void> {
  const event = drawEvent(random, serial())
  await calls.write<{ message: Expected }>('POST /api/websocket/broadcast', {
    what: `broadcast ${event.type}`,
    body: { message: event },
    events: [event],
    learned: ({ message }) => [{ ...event, seq: message['seq'] }],
  })
}

async function broadcastWord({ calls, random, history, serial }: Work): Promise<void> {
  const n = serial()
  const channel = random.chance(0.4) ? random.pick(channels) : undefined
  const clientType = random.chance(0.3) ? random.pick(clientTypes) : undefined
  const word: WordRecord = { channel, clientType, recipients: undefined }
  history.words.set(n, word)
  const told = await calls.write<{ recipients: number }>('POST /api/websocket/broadcast', {
    what: `word ${n}`,
    effect: true,
    body: {
      message: { type: 'word', n, text: 'Mittag ☼' },
      ...(channel === undefined ? {} : { channel }),
      ...(clientType === undefined ? {} : { client_type: clientType }),
    },
  })
  word.recipients = told?.recipients
}

/** Looks who is there and sends one away: for good, or asked to come back. */
async function disconnect({ calls, random, history }: Work): Promise<void> {
  const query = random.pick([{}, { channel: random.pick(channels) }, { client_type: 'gui' }])
  const there = await calls.read<{ clients: { id: string }[]; count: number }>('GET /api/websocket/clients', {
    query,
  })
  if (!there) return
  const { clients, count } = there.body
  if (count !== clients.length) history.unexpected.push(`${clients.length} clients are listed as ${count}`)
  if (clients.length === 0) return
  const clientId = random.pick(clients).id
  const { body } = random.pick<{ body?: { reason?: string; reconnect?: boolean } }>([
    {},
    { body: { reason: 'lunch' } },
    { body: { reconnect: true } },
    { body: { reconnect: true } },
  ])
  history.disconnects.push({ clientId, reconnect: body?.reconnect ?? false })
  await calls.write('POST /api/websocket/disconnect/{client_id}', {
    what: `end of client ${clientId}`,
    effect: true,
    params: { client_id: clientId },
    ...(body === undefined ? {} : { body }),
  })
}

/** Looks what somebody is sent, and how busy the server is. */
async function trace({ calls, random, history }: Work): Promise<void> {
  await calls.read('GET /api/system/load')
  const there = await calls.read<{ clients: { id: string }[] }>('GET /api/websocket/clients')
  if (!there || there.body.clients.length === 0) return
  const params = { client_id: random.pick(there.body.clients).id }
  const name = '/api/websocket/clients/{client_id}/trace'
  const begun = await calls.write(`POST ${name}`, { what: 'a trace', effect: true, params })
  if (begun === undefined) return
  const read = await calls.read<{ entries: { number: number }[] }>(`GET ${name}`, {
    params,
    query: { wait: 1 },
  })
  const numbers = read?.body.entries.map((entry) => entry.number) ?? []
  if (numbers.some((number, at) => at > 0 && number !== (numbers[at - 1] ?? 0) + 1))
    history.unexpected.push(`the entries of a trace are numbered ${numbers.join()}`)
}

async function issue({ calls, random, passes }: Work): Promise<void> {
  const subject = passes.drawSubject(random)
  const right = passes.drawRight(random, channels)
  const issued = await calls.write<{ token: string }>('POST /api/tokens', {
    what: `token for ${subject}`,
    body: { subject, ...right, expires_in: random.chance(0.9) ? 3600 : random.int(1, 3) },
  })
  if (issued) passes.add(issued.token, right)
}

async function revoke({ calls, random, history, passes }: Work): Promise<void> {
  const pass = passes.toRevoke(random)
  if (!pass) return
  const byToken = random.chance(0.6)
  const revocation: RevocationRecord = {
    ...(byToken ? { kind: 'jti', value: pass.jti } : { kind: 'subject', value: pass.subject }),
    revokedAtMs: undefined,
    answeredMs: undefined,
    untilMs: undefined,
  }
  history.revocations.push(revocation)
  try {
    const done = await calls.write<{ revoked_at: string }>('POST /api/tokens/revoke', {
      what: `revocation of ${revocation.kind} ${revocation.value}`,
      effect: true,
      body: { [revocation.kind]: revocation.value },
    })
    if (done) revocation.revokedAtMs = Date.parse(done.revoked_at)
    if (done) revocation.answeredMs = Date.now()
  } finally {
    revocation.untilMs = Date.now()
  }
}
