/** Every operation of openapi.yaml under generated requests, valid and not: no 5xx, and each answer is as documented. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'
import { createContract, readDocument, type OpenApi } from './generated/contract.ts'
import type { Pool } from './generated/pool.ts'
import { rules } from './generated/rules.ts'
import { run } from './generated/run.ts'

setDefaultTimeout(120_000)

/** `SEED=7 npm test` draws other requests. */
const SEED = Number(process.env['SEED'] ?? 20_261)
const CASES = 120
const PLANTED_CASES = 60
/** Small, so that a body over it is sent quickly; more than one event may be. */
const BODY_BYTES_MAX = 150_000
/** Polling sessions that live at once: a subject may have 100. */
const SESSIONS_MAX = 10
/** Rounds from one photo with a file to the next: the other photos have transitions to go through. */
const PHOTO_ROUNDS = 8
const SMALL_PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

interface Part {
  readonly document: OpenApi
  readonly cases: number
  readonly operations?: readonly string[]
  readonly url?: string
  readonly beforeRound?: (pool: Pool) => Promise<void>
}

async function runOn(server: TestServer, { document, url = server.url, ...part }: Part) {
  return await run({
    ...part,
    contract: createContract(document),
    url,
    bodyBytesMax: BODY_BYTES_MAX,
    tokens: { full: server.token, weak: await server.tokenFor('') },
    seed: SEED,
    async beforeRound(pool) {
      await offerClients(server, pool)
      await part.beforeRound?.(pool)
    },
  })
}

/**
 * A connected client for whom `disconnect` is meant, each time the last one is gone, and a few polling sessions, each
 * with a message that waits for its poll: a poll of an empty one waits for most of a second, which only the clock sees.
 */
async function offerClients({ server, connect, api }: TestServer, pool: Pool): Promise<void> {
  const own = server.clients().filter(({ transport }) => transport === 'websocket')
  const polling = server.clients().filter(({ transport }) => transport === 'poll')
  for (const { id } of polling.slice(0, -SESSIONS_MAX)) server.disconnect(id)
  if (polling.length > 0) await api('POST', '/api/websocket/broadcast', { message: { type: 'note' } })
  if (own.length === 0) {
    const client = await connect()
    client.send({ type: 'register', client_type: 'generated', client_name: 'one of many' })
    await client.next('registration_confirmed')
  }
  for (const { id } of server.clients().slice(0, 1)) pool.note('client_id', id)
}

/** Now and then a photo whose file is there: thumbnails are made of nothing else. */
async function offerPhoto({ api }: TestServer, folder: string, round: number, pool: Pool): Promise<void> {
  if (round % PHOTO_ROUNDS !== 0) return
  const file_path = join(folder, `${round}.png`)
  writeFileSync(file_path, SMALL_PNG)
  const { body } = await api<{ id: number }>('POST', '/api/photos', { file_path })
  pool.note('photo_id', body.id)
}

test(`${CASES} generated requests of each operation are answered as openapi.yaml says`, async () => {
  using folder = temporaryFolder()
  await using server = await startTestServer({ MAX_BODY_BYTES: BODY_BYTES_MAX, PHOTO_FOLDERS: [folder.path] })
  let round = 0

  const { tallies, findings, explained } = await runOn(server, {
    document: readDocument(),
    cases: CASES,
    beforeRound: (pool) => offerPhoto(server, folder.path, round++, pool),
  })

  const operations = [...tallies]
  expect(findings.slice(0, 10)).toEqual([])
  expect(operations.length).toBeGreaterThan(35)
  expect(operations.filter(([, { sent }]) => sent !== CASES)).toEqual([])
  // What never succeeds proves nothing about answers.
  expect(operations.filter(([, { succeeded }]) => succeeded === 0)).toEqual([])
  expect(rules.filter(({ says }) => !explained.has(says)).map(({ says }) => says)).toEqual([])
})

interface Planted {
  readonly fault: string
  readonly operation: string
  /** Where in the document, and what is put there instead. */
  readonly at: readonly string[]
  readonly value: unknown
  readonly found: RegExp
}

const schemas = ['components', 'schemas'] as const
const queueAnswer = ['paths', '/api/queue', 'get', 'responses', '200'] as const
const planted: readonly Planted[] = [
  {
    fault: 'a field of an answer with another type',
    operation: 'postApiSessions',
    at: [...schemas, 'Session', 'properties', 'total_photos'],
    value: { type: 'string' },
    found: /does not fit its schema: body\/total_photos must be string/,
  },
  {
    fault: 'a field that no answer has',
    operation: 'getApiPhotos',
    at: [
      'paths',
      '/api/photos',
      'get',
      'responses',
      '200',
      'content',
      'application/json',
      'schema',
      'required',
    ],
    value: ['owner'],
    found: /body must have required property 'owner'/,
  },
  {
    fault: 'an answer with fewer fields than there are',
    operation: 'getApiQueue',
    at: [...schemas, 'Queue', 'properties', 'failed'],
    value: undefined,
    found: /body must NOT have additional properties/,
  },
  {
    fault: 'a status left out',
    operation: 'getApiSessionsId',
    at: ['paths', '/api/sessions/{id}', 'get', 'responses', '404'],
    value: undefined,
    found: /status 404 is not documented/,
  },
  {
    fault: 'another content type',
    operation: 'getApiQueue',
    at: [...queueAnswer, 'content'],
    value: { 'text/plain': { schema: {} } },
    found: /content type "application\/json", documented text\/plain/,
  },
  {
    fault: 'a header that is not sent',
    operation: 'getApiQueue',
    at: [...queueAnswer, 'headers'],
    value: { 'Lightwire-Nothing': { required: true } },
    found: /there is no header Lightwire-Nothing/,
  },
  {
    fault: 'a body that may be more than is taken',
    operation: 'postApiJobsClaim',
    at: [...schemas, 'ClaimInput', 'properties', 'lease_seconds', 'maximum'],
    value: 1_000_000,
    found: /#\d+ \(none\): status 400, where 200(, 422)? would be right/,
  },
  {
    fault: 'a body that may be less than is taken',
    operation: 'postApiSessions',
    at: [...schemas, 'SessionInput', 'additionalProperties'],
    value: false,
    found: /\(extra\): status 201, where 400 would be right/,
  },
  {
    fault: 'a query that may be more than is taken',
    operation: 'getApiJobs',
    at: ['paths', '/api/jobs', 'get', 'parameters', '0', 'schema', 'maximum'],
    value: 1_000_000,
    found: /\(none\): status 400, where 200(, 422)? would be right/,
  },
  {
    fault: 'a list of names that may be any text',
    operation: 'getApiEvents',
    at: ['paths', '/api/events', 'get', 'parameters', '0', 'schema', 'pattern'],
    value: undefined,
    found: /\(none\): status 400, where .*200/,
  },
  {
    fault: 'a stream with other than text',
    operation: 'getApiEventsStream',
    at: [
      'paths',
      '/api/events/stream',
      'get',
      'responses',
      '200',
      'content',
      'text/event-stream',
      'schema',
      'type',
    ],
    value: 'object',
    found: /does not fit its schema: body must be object/,
  },
  {
    fault: 'an operation open to all',
    operation: 'getApiQueue',
    at: ['paths', '/api/queue', 'get', 'security'],
    value: [],
    found: /\(none\): status 401, where 200(, 422)? would be right/,
  },
]

test.each(planted)('$fault, planted in the document, is found', async ({ operation, at, value, found }) => {
  await using server = await startTestServer({ MAX_BODY_BYTES: BODY_BYTES_MAX })

  const { findings } = await runOn(server, {
    document: planting(at, value),
    cases: PLANTED_CASES,
    operations: [operation],
  })

  expect(findings.join('\n')).toMatch(found)
})

function planting(at: readonly string[], value: unknown): OpenApi {
  const document = readDocument()
  const last = at.at(-1) ?? ''
  const holder = at
    .slice(0, -1)
    // The document is JSON, and a path that it does not have ends the test.
    .reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], document) as Record<
    string,
    unknown
  >
  expect(holder).toBeObject()
  if (value === undefined) delete holder[last]
  else holder[last] = value
  return document
}

test('a server that answers 500 is found at every operation', async () => {
  await using server = await startTestServer()
  await using parts = new AsyncDisposableStack()
  const fetch = () => Response.json({ code: 'internal' }, { status: 500 })
  const broken = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch })
  parts.defer(() => broken.stop(true))

  const { tallies, findings } = await runOn(server, {
    document: readDocument(),
    cases: 1,
    url: broken.url.origin,
  })

  const failed = findings.filter((finding) => finding.includes('the server failed: 500'))
  expect(failed).toHaveLength(tallies.size)
})
