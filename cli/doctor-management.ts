/** What an operator may do, tried on the doctor's own clients only; without `admin` nothing of it. */
import * as z from 'zod'
import { channels } from '../lib/protocol/events.ts'
import { placeOf } from './doctor-api.ts'
import type { Changes } from './doctor-changes.ts'
import { clientTypesOf, needRights, type Context } from './doctor-context.ts'
import { Fault, need, within } from './doctor-report.ts'
import { openWatcher, REPLY_MS_MAX, type Watcher } from './doctor-watcher.ts'

const EPHEMERAL_TYPE = 'doctor_says'
const processes = 'whether several processes are behind that address: each knows its own clients'
const clientsSchema = z.object({
  clients: z.array(z.object({ id: z.string(), client_type: z.string().nullable(), protocol: z.string() })),
  count: z.int(),
})
const channelsSchema = z.object({
  channels: z.array(z.object({ channel: z.enum(channels), head_seq: z.int(), subscribers: z.int() })),
})

export async function checkManagement(
  context: Context,
  changes: Changes,
  watchers: readonly Watcher[],
  parts: DisposableStack,
): Promise<void> {
  const { report, api } = context
  const { own } = clientTypesOf(context)
  const some = () => {
    needRights(context, 'admin')
    return need(watchers.length > 0 ? watchers : undefined, 'no socket watches')
  }
  await report.check('clients listed', async (note) => {
    const ids = some().map(({ clientId }) => clientId)
    const { body } = await api('GET', `/api/websocket/clients?client_type=${own}`, { schema: clientsSchema })
    const listed = body.clients.map(({ id }) => id)
    if (!Bun.deepEquals(listed.toSorted(), ids.toSorted()) || body.count !== ids.length) {
      const seen = `${body.count} listed, ${listed.filter((id) => ids.includes(id)).length} of them ours`
      throw new Fault({ expected: `our ${ids.length} clients of type ${own}`, seen, look: processes })
    }
    note(`our ${ids.length} clients`)
  })
  await report.check('channels listed', async (note) => {
    needRights(context, 'admin')
    const { body } = await api('GET', '/api/websocket/channels', { schema: channelsSchema })
    for (const channel of channels) {
      const head = body.channels.find((state) => state.channel === channel)?.head_seq
      const least = changes.position()[channel] ?? 0
      if (head !== undefined && head >= least) continue
      const expected = `${channel} with a head of at least ${least}`
      throw new Fault({
        expected,
        seen: head === undefined ? 'nothing about it' : `${head}`,
        look: placeOf(500),
      })
    }
    note(body.channels.map(({ channel, head_seq }) => `${channel} ${head_seq}`).join(', '))
  })
  await report.check('disconnect', (note) => checkDisconnect(context, some(), parts).then(() => note('4503')))
  await report.check('broadcast', async (note) => {
    await checkBroadcast(context, some(), parts)
    note(`to our ${watchers.length} clients of type ${own}, to no other`)
  })
}

async function checkDisconnect(context: Context, watchers: readonly Watcher[], parts: DisposableStack) {
  const victim = await openAside(context, 'disconnected', parts)
  const schema = z.object({ client_id: z.literal(victim.clientId), disconnected: z.literal(true) })
  const body = { reason: 'a check of the server' }
  await context.api('POST', `/api/websocket/disconnect/${victim.clientId}`, { schema, body })
  const expected = 'the disconnected client to be closed with 4503'
  const { code } = await within(victim.closed, REPLY_MS_MAX, { expected, look: processes })
  if (code !== 4503) throw new Fault({ expected, seen: String(code), look: placeOf(500) })
  const goodbye = victim.messages.find(({ type }) => type === 'disconnect')
  if (goodbye?.['code'] !== 4503 || goodbye['reconnect'] !== false) {
    const seen = JSON.stringify(goodbye) ?? 'no disconnect message'
    throw new Fault({ expected: 'disconnect with code 4503 before the close', seen, look: placeOf(500) })
  }
  // Nobody else was meant: the others still answer.
  await Promise.all(watchers.map((watcher) => watcher.ping()))
}

async function checkBroadcast(context: Context, watchers: readonly Watcher[], parts: DisposableStack) {
  const { api, run } = context
  const { own } = clientTypesOf(context)
  const bystander = await openAside(context, 'bystander', parts)
  const message = { type: EPHEMERAL_TYPE, run, text: 'hello, wörld' }
  const schema = z.object({ recipients: z.int() })
  const { body } = await api('POST', '/api/websocket/broadcast', {
    schema,
    body: { message, client_type: own },
  })
  const heard = async (watcher: Watcher) => {
    await watcher.ping()
    return watcher.messages.filter(({ type }) => type === EPHEMERAL_TYPE)
  }
  for (const watcher of watchers) {
    const [first, ...more] = await heard(watcher)
    const { timestamp: _, ...said } = first ?? {}
    if (more.length === 0 && Bun.deepEquals(said, message, true)) continue
    const seen = first ? `${more.length + 1}, first ${JSON.stringify(first)}` : 'none'
    throw new Fault({ expected: `the broadcast message once on ${watcher.name}`, seen, look: processes })
  }
  const overheard = (await heard(bystander)).length
  if (overheard > 0 || body.recipients !== watchers.length) {
    const expected = `${watchers.length} recipients of the broadcast, all of type ${own}`
    const seen = `${body.recipients}${overheard > 0 ? ', and a client of another type got it too' : ''}`
    throw new Fault({ expected, seen, look: processes })
  }
}

async function openAside(context: Context, name: string, parts: DisposableStack): Promise<Watcher> {
  const { socketUrl: url, token } = context
  const { aside: clientType } = clientTypesOf(context)
  return parts.use(await openWatcher({ url, token, framing: 'json', name, clientType, channels: [] }))
}
