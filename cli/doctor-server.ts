/** The doctor's first points: is it a Lightwire, is it well, does it keep strangers out, what may the token do. */
import * as z from 'zod'
import { parseScope, type Rights } from '../lib/access/rights.ts'
import { channels } from '../lib/protocol/events.ts'
import { ask } from './rest-client.ts'
import { openLiveSocket } from './demo-client.ts'
import { parseAs, placeOf, requireStatus } from './doctor-api.ts'
import type { Patient } from './doctor-context.ts'
import { Fault, NotTried, within, type Note } from './doctor-report.ts'
import { REPLY_MS_MAX, requestReply } from './doctor-watcher.ts'

const BAD_TOKEN = 'a.bad.token'
const healthSchema = z.object({ status: z.string(), checks: z.record(z.string(), z.string()) })
const infoSchema = z.object({
  version: z.string().min(1),
  node_id: z.string(),
  uptime_seconds: z.number().min(0),
  limits: z.record(z.string(), z.number()),
  features: z.array(z.string()),
})
const problemSchema = z.object({ status: z.int(), code: z.string(), detail: z.string() })

/** @returns what the token may do; undefined when there is no Lightwire, or it takes no such token */
export async function checkServer(
  patient: Patient,
  { authOff }: { readonly authOff: boolean },
): Promise<Rights | undefined> {
  const { report } = patient
  // Nobody is shown the token before it is clear who is there.
  const stranger = { url: patient.url, token: undefined }
  let there = false
  await report.check('health', async (note) => {
    const answer = await ask(stranger, 'GET', '/api/system/health')
    const parsed = healthSchema.safeParse(jsonOrNothing(answer.text))
    if (!parsed.success) throw noLightwire(answer.status)
    there = true
    requireHealthy(parsed.data)
    requireStatus('GET /api/system/health', answer, 200)
    note(describe(parsed.data.checks))
  })
  if (!there) return void report.skipRest('no Lightwire answers there')
  await report.check('ready', async () => {
    const answer = await ask(stranger, 'GET', '/api/system/ready')
    requireStatus('GET /api/system/ready', answer, 200)
    parseAs('GET /api/system/ready', answer, z.object({ ready: z.literal(true) }))
  })
  await report.check('version and limits', async (note) => {
    const { body } = await patient.api('GET', '/api/system/info', { schema: infoSchema })
    note(`Lightwire ${body.version}, ${describe(body.limits)}, ${body.features.join(' ')}`)
  })
  await report.check('request without a token', (note) => checkNoToken(patient, authOff, note))
  await report.check('socket with a bad token', (note) => checkBadToken(patient, authOff, note))
  return await checkRights(patient)
}

async function checkNoToken({ url }: Patient, authOff: boolean, note: Note): Promise<void> {
  if (authOff) throw new NotTried('AUTH=off here: it asks for no token')
  const what = 'GET /api/sessions without a token'
  const answer = await ask({ url, token: undefined }, 'GET', '/api/sessions')
  if (answer.status === 200) {
    throw new Fault({ expected: `${what} to answer 401`, seen: '200', look: 'AUTH of the server: it is off' })
  }
  requireStatus(what, answer, 401)
  const { code } = parseAs(what, answer, problemSchema)
  if (code !== 'unauthenticated') {
    throw new Fault({ expected: 'the code unauthenticated', seen: code, look: placeOf(500) })
  }
  note(`401 ${code}`)
}

async function checkBadToken({ socketUrl: url }: Patient, authOff: boolean, note: Note): Promise<void> {
  if (authOff) throw new NotTried('AUTH=off here: it asks for no token')
  const onMessage = () => undefined
  using socket = await openLiveSocket({
    url,
    token: BAD_TOKEN,
    framing: 'json',
    name: 'bad token',
    onMessage,
  })
  const expected = 'a socket with a bad token to be closed with 4501'
  const { code } = await within(socket.closed, REPLY_MS_MAX, { expected, look: 'AUTH of the server' })
  if (code !== 4501) throw new Fault({ expected, seen: String(code), look: "the server's log" })
  note('closed 4501')
}

/** By the protocol's own `auth`, whose answer says what the server reads in the token. */
async function checkRights(patient: Patient): Promise<Rights | undefined> {
  const { report, socketUrl: url, token } = patient
  let rights: Rights | undefined
  await report.check('rights of the token', async (note) => {
    const onMessage = () => undefined
    const options = {
      url,
      token,
      framing: 'json',
      name: 'first',
      onMessage,
      replyMsMax: REPLY_MS_MAX,
    } as const
    using socket = await openLiveSocket(options)
    const message = { type: 'auth', token: token ?? '' }
    const reply = await Promise.race([
      requestReply(socket, 'authenticated', message).catch(() => undefined),
      socket.closed.then(() => undefined),
    ])
    if (!reply) throw tokenRefused(await within(socket.closed, REPLY_MS_MAX, unanswered))
    const scope = String(reply['scope'])
    rights = parseScope(scope)
    const missing = [
      ...(rights.read.size === 0 ? ['events:read'] : []),
      ...(rights.apiRead ? [] : ['api:read']),
      ...(rights.apiWrite ? [] : ['api:write']),
    ]
    if (missing.length > 0) {
      throw new Fault({
        expected: 'a token with events:read, api:read and api:write',
        seen: `one without ${missing.join(', ')}`,
        look: 'the scope that the token was signed with (server.ts token --scope)',
      })
    }
    const some = rights.read.size < channels.length ? ` (reads ${[...rights.read].join(' ')})` : ''
    note(`${scope}, as ${String(reply['subject'])}${some}`)
  })
  if (!rights) report.skipRest('the token was not accepted')
  return rights
}

const unanswered = { expected: 'authenticated as the reply to auth', look: "the server's log" }

function tokenRefused({ code, reason }: { code: number; reason: string }): Fault {
  const seen = `the socket closed with ${code}${reason === '' ? '' : ` (${reason})`}`
  const look = code === 4401 || code >= 4500 ? placeOf(401) : "what is between, and the server's log"
  return new Fault({ expected: 'the token to be accepted', seen, look })
}

function requireHealthy({ status, checks }: z.output<typeof healthSchema>): void {
  if (status === 'healthy') return
  throw new Fault({ expected: 'healthy', seen: `${status}: ${describe(checks)}`, look: placeOf(503) })
}

function noLightwire(status: number): Fault {
  const seen = `${status} and no report of health`
  const look = status === 403 ? placeOf(403) : '--live: is it the address of a Lightwire?'
  return new Fault({ expected: 'GET /api/system/health to answer as a Lightwire does', seen, look })
}

function describe(record: Readonly<Record<string, unknown>>): string {
  return Object.entries(record)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ')
}

function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
