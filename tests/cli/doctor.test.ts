/** The doctor as a user runs it: a process against servers that are well, and against one behind a meddling proxy. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { points } from '../../cli/doctor-report.ts'
import { projectRoot, startProcess, type ServerProcess } from '../support/process.ts'
import { startMeddler, type Faults, type Reply } from '../support/meddler.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

let shared: TestServer
beforeAll(async () => {
  shared = await startTestServer()
})
afterAll(async () => {
  await shared[Symbol.asyncDispose]()
})

test('on a server that is well every point holds, with a token of its own, and nothing is left there', async () => {
  using data = temporaryFolder()
  await using parts = new AsyncDisposableStack()
  const server: ServerProcess = await startProcess({ folder: data.path, limited: true })
  parts.defer(async () => void (await server.kill()))

  const { code, output, verdicts } = await runDoctor(['--live', `${server.url}/`], { DATA_DIR: data.path })

  expect(verdicts.filter(({ verdict }) => verdict !== 'ok')).toEqual([])
  expect(verdicts.map(({ point }) => point)).toEqual([...points])
  expect(output).toContain("with a token signed with this set-up's own key")
  expect(output).toMatch(/events of 24 types from \d+ changes/)
  expect(output).toMatch(/median [\d.]+ ms( before it)?, worst [\d.]+ ms/)
  expect(output).toMatch(
    new RegExp(`\\n${points.length} points: ${points.length} ok, 0 FAILED, 0 skipped in [\\d.]+ s$`),
  )
  expect(output).not.toContain('\u001b')
  expect(code).toBe(0)
})

test('a run removes what it made, and tells only its own clients', async () => {
  const client = await shared.connect()
  await client.subscribe(['sessions', 'jobs', 'photos'])

  const { code } = await runDoctor(['--live', shared.url, '--token', shared.token])
  const { body } = await shared.api<{ total: number }>('GET', '/api/photos')
  await client.sync()

  expect(code).toBe(0)
  expect(body.total).toBe(0)
  expect(client.events.at(-1)).toMatchObject({ type: 'session_deleted' })
  expect(client.received.map(({ type }) => type)).not.toContain('doctor_says')
})

test('two runs at once, and others at work between them, find no fault', async () => {
  const stop = new AbortController()
  const others = importAndAnalyze(shared, stop.signal)

  const runs = await Promise.all([1, 2].map(() => runDoctor(['--live', shared.url, '--token', shared.token])))
  stop.abort()
  await others

  for (const { verdicts, code } of runs) {
    expect(verdicts.filter(({ verdict }) => verdict === 'FAILED')).toEqual([])
    expect(code).toBe(0)
  }
})

for (const moment of ['as soon as it is there', 'between a look and the act']) {
  test(`a job that a worker of the server takes ${moment} is left to it, and the rest holds`, async () => {
    await using server = await startTestServer()
    await using proxy = startMeddler(server.url, { answer: workAlong(server, moment.startsWith('as soon')) })

    const { code, verdicts } = await runDoctor(['--live', proxy.url, '--token', server.token])

    expect(verdicts.filter(({ verdict }) => verdict === 'FAILED')).toEqual([])
    expect(outcomeOf(verdicts, 'priority changed')).toBe('skipped worker along of that server took the job')
    expect(outcomeOf(verdicts, 'job claimed')).toBe('skipped worker along of that server took the job')
    expect(outcomeOf(verdicts, 'job completed')).toBe('skipped no job was claimed')
    expect(outcomeOf(verdicts, 'every event once')).toStartWith('ok')
    expect(outcomeOf(verdicts, 'session deleted')).toStartWith('ok')
    expect(code).toBe(0)
  })
}

test('a job of others that waits before ours is not taken from its workers', async () => {
  await using server = await startTestServer()
  const { body: photo } = await server.api<{ id: number }>('POST', '/api/photos', {
    file_path: '/others/1.jpg',
  })
  const { body: job } = await server.api<{ id: string }>('POST', '/api/jobs', {
    photo_id: photo.id,
    priority: 1,
  })

  const { code, verdicts } = await runDoctor(['--live', server.url, '--token', server.token])
  const { body: after } = await server.api('GET', `/api/jobs/${job.id}`)

  expect(outcomeOf(verdicts, 'job claimed')).toStartWith('skipped another job of priority 1 waits there')
  expect(verdicts.filter(({ verdict }) => verdict === 'FAILED')).toEqual([])
  expect(after).toEqual(job as never)
  expect(code).toBe(0)
})

test('a run that is interrupted takes its session away before it ends', async () => {
  await using server = await startTestServer()
  const interrupting = Promise.withResolvers<void>()
  const faults = onAnswer('POST', /\/progress$/, (reply) => {
    interrupting.resolve()
    return reply
  })
  await using proxy = startMeddler(server.url, faults)

  const { code, verdicts } = await runDoctor(
    ['--live', proxy.url, '--token', server.token],
    {},
    interrupting.promise,
  )
  const { body } = await server.api<{ total: number }>('GET', '/api/sessions')

  expect(outcomeOf(verdicts, 'session deleted')).toStartWith('ok')
  expect(outcomeOf(verdicts, 'broadcast')).toBe('skipped interrupted')
  expect(body.total).toBe(0)
  expect(code).toBe(130)
})

const faulty: readonly {
  readonly name: string
  readonly faults: Faults
  /** Points that fail, and what their line says. */
  readonly named: Readonly<Record<string, RegExp>>
}[] = [
  {
    name: 'an event that is dropped',
    faults: onMessage('msgpack', 'photo_rejected', () => []),
    named: {
      'every event once':
        /expected photo_rejected \{.*\} after POST \/api\/approval\/\d+\/reject on msgpack, saw no such event; look at /,
      'events in order': /expected photos up to seq \d+ on msgpack, saw the last at \d+; look at /,
      'framings agree': /expected the same events on json and msgpack/,
    },
  },
  {
    name: 'an event that is repeated',
    faults: onMessage('msgpack', 'job_progress', (message) => [message, message]),
    named: {
      'every event once':
        /expected no further event after POST .*\/progress on msgpack, saw job_progress at jobs/,
      'events in order': /expected jobs seq \d+ next on msgpack, saw job_progress with seq \d+/,
      'framings agree': /on json and msgpack/,
    },
  },
  {
    name: 'an event with another value on one framing',
    faults: onMessage('deflate', 'job_progress', (message) => [{ ...message, progress: 43 }]),
    named: {
      'every event once':
        /expected job_progress \{.*42\.5.*\} .* on deflate, saw job_progress with progress 43;/,
      'framings agree': /on deflate alone, or with other values/,
    },
  },
  {
    name: 'an event without one of its fields',
    faults: onMessage('msgpack', 'export_started', (message) => [{ ...message, preset_name: undefined }]),
    named: {
      'frames as documented': /on msgpack, saw export_started: preset_name: /,
      'every event once': /on msgpack, saw export_started with preset_name left out;/,
      'framings agree': /on msgpack alone, or with other values/,
    },
  },
  {
    name: 'an answer with a wrong status',
    faults: onAnswer('POST', /\/reject$/, (reply) => ({ ...reply, status: 500, text: '{"detail":"a bug"}' })),
    named: {
      'photo rejected':
        /expected POST \/api\/approval\/\d+\/reject to answer 200, saw 500 \(a bug\); look at the server's log/,
    },
  },
  {
    name: 'an answer with a wrong field',
    faults: onAnswer('POST', /^\/api\/jobs$/, (reply) => {
      const job = JSON.parse(reply.text) as object
      return { ...reply, text: JSON.stringify({ ...job, status: 'processing' }) }
    }),
    named: {
      'job created': /expected status "pending" in the answer to POST \/api\/jobs, saw "processing";/,
      'job claimed': /POST \/api\/jobs, saw "processing";/,
      'job failed': /POST \/api\/jobs, saw "processing";/,
    },
  },
  {
    name: 'an answer of another shape',
    faults: onAnswer('POST', /\/progress$/, (reply) => ({ ...reply, text: '[]' })),
    named: { 'job progress': /expected an answer to POST .* as openapi.yaml describes it, saw / },
  },
  {
    name: 'a state that REST and the events tell differently',
    faults: onAnswer('GET', /^\/api\/queue$/, (reply) => {
      const queue = JSON.parse(reply.text) as { failed: number }
      return { ...reply, text: JSON.stringify({ ...queue, failed: queue.failed + 1 }) }
    }),
    named: { 'state from events': /expected queue: failed \d+ by the events, saw \d+ over REST; look at / },
  },
  {
    name: 'answers without their cursor',
    faults: {
      answer: ({ path }, reply) => (path === '/api/sessions' ? { ...reply, headers: new Headers() } : reply),
    },
    named: {
      'exact join': /expected a cursor in Lightwire-Cursor of GET \/api\/sessions, saw no such header/,
    },
  },
  {
    name: 'a door that stands open',
    faults: {
      answer: ({ authorized, path }, reply) =>
        authorized || path !== '/api/sessions' ? reply : { ...reply, status: 200, text: '{}' },
    },
    named: { 'request without a token': /expected .* without a token to answer 401, saw 200; look at AUTH/ },
  },
  {
    name: 'a broadcast that comes twice',
    faults: onMessage('msgpack', 'doctor_says', (message) => [message, message]),
    named: { broadcast: /expected the broadcast message once on msgpack, saw 2, first / },
  },
  {
    name: 'a batch that leaves an event out',
    faults: onMessage('json', 'batch', (message) => [
      {
        ...message,
        events: (message['events'] as { type: string }[]).filter(({ type }) => type !== 'photo_rejected'),
      },
    ]),
    named: {
      'filters and batches':
        /expected photo_rejected at photos \d+ next on a filtered subscription, saw .*; look at /,
      conflation: /expected photo_rejected at photos \d+ next on a conflated subscription, saw /,
    },
  },
  {
    name: 'a batch that leaves a hole',
    faults: onMessage('json', 'batch', (message) => [{ ...message, after: Number(message['after']) + 1 }]),
    named: {
      'filters and batches': /expected a \w+ batch after \d+, saw one after \d+;/,
      conflation: /expected a \w+ batch after \d+, saw one after \d+;/,
    },
  },
  {
    name: 'a stream that leaves an event out',
    faults: { block: (block) => !block.includes('event: session_completed') },
    named: {
      'stream resumes':
        /expected session_completed at sessions \d+ next on a stream that came back, saw session_updated/,
    },
  },
  {
    name: 'a page that leaves an event out',
    faults: onAnswer('GET', /^\/api\/events$/, (reply) => {
      const page = JSON.parse(reply.text) as { events: { type: string }[] }
      const events = page.events.filter(({ type }) => type !== 'export_failed')
      return { ...reply, text: JSON.stringify({ ...page, events }) }
    }),
    named: { 'pull and long-poll': /expected export_failed at export \d+ next on pull, saw no event;/ },
  },
  {
    name: 'a poll that repeats itself',
    faults: onAnswer('GET', /^\/ws\/poll$/, (reply) => {
      const polled = JSON.parse(reply.text) as { messages: object[] }
      return {
        ...reply,
        text: JSON.stringify({ ...polled, messages: polled.messages.flatMap((m) => [m, m]) }),
      }
    }),
    named: { 'polling session': /expected \w+ at \w+ \d+ next on a polling session, saw / },
  },
  {
    name: 'a repeat that is not said to be one',
    faults: onAnswer('POST', /\/system\/errors$/, (reply) => {
      const headers = new Headers(reply.headers)
      headers.delete('idempotency-replayed')
      return { ...reply, headers }
    }),
    named: {
      'idempotent repeat':
        /expected Idempotency-Replayed on the repeat alone, saw no header, then no header; look at /,
    },
  },
  {
    name: 'a server that is not well',
    faults: {
      answer: ({ path }, reply) =>
        path === '/api/system/health'
          ? { ...reply, text: '{"status":"degraded","checks":{"database":"ok","writer":"failing"}}' }
          : reply,
    },
    named: { health: /expected healthy, saw degraded: database ok, writer failing; look at / },
  },
]

for (const { name, faults, named } of faulty) {
  test(`the doctor names ${name}`, async () => {
    await using proxy = startMeddler(shared.url, faults)

    const { code, verdicts } = await runDoctor(['--live', proxy.url, '--token', shared.token])

    for (const [point, sentence] of Object.entries(named)) {
      expect(outcomeOf(verdicts, point)).toStartWith('FAILED')
      expect(outcomeOf(verdicts, point)).toMatch(sentence)
    }
    const failed = verdicts.flatMap(({ verdict, point }) => (verdict === 'FAILED' ? [point] : []))
    expect(failed.filter((point) => !(point in named))).toEqual([])
    expect(code).toBe(1)
  })
}

test('whatever failed, the session is removed', async () => {
  const { body } = await shared.api<{ sessions: { name: string }[] }>('GET', '/api/sessions')

  expect(body.sessions.filter(({ name }) => name.startsWith('Doctor'))).toEqual([])
})

test('where nothing answers it says so, and tries nothing more', async () => {
  const { code, output, verdicts } = await runDoctor(['--live', 'http://127.0.0.1:9'])

  expect(outcomeOf(verdicts, 'health')).toMatch(
    /^FAILED expected an answer, saw: .* does not answer \(.*\); look at /,
  )
  expect(verdicts.filter(({ verdict }) => verdict === 'skipped')).toHaveLength(points.length - 1)
  expect(output).not.toContain('    at ')
  expect(code).toBe(1)
})

test('a token of another key is named as such', async () => {
  const { code, output, verdicts } = await runDoctor(['--live', shared.url])

  expect(outcomeOf(verdicts, 'version and limits')).toMatch(
    /saw 401 \(.*signature does not match\); look at --token/,
  )
  expect(outcomeOf(verdicts, 'rights of the token')).toMatch(
    /to be accepted, saw the socket closed with 4501/,
  )
  expect(outcomeOf(verdicts, 'socket json')).toBe('skipped the token was not accepted')
  expect(output).not.toContain('    at ')
  expect(code).toBe(1)
})

test('a token that may only listen: what it lacks is named, what it may do is tried', async () => {
  const token = await shared.tokenFor('events:read:jobs events:read:photos api:read')

  const { code, verdicts } = await runDoctor(['--live', shared.url, '--token', token])

  expect(outcomeOf(verdicts, 'rights of the token')).toMatch(/saw one without api:write; look at the scope/)
  expect(outcomeOf(verdicts, 'socket msgpack')).toBe('ok registered, subscribed to 2 channels, pong')
  expect(outcomeOf(verdicts, 'exact join')).toBe('skipped token has no api:write')
  expect(outcomeOf(verdicts, 'clients listed')).toBe('skipped token has no admin')
  expect(verdicts.filter(({ verdict }) => verdict === 'FAILED')).toHaveLength(1)
  expect(code).toBe(1)
})

test('a server without tokens is judged without them where the set-up here says so too', async () => {
  await using server = await startTestServer({ AUTH: 'off' })

  const { code, verdicts } = await runDoctor(['--live', server.url], { AUTH: 'off' })

  expect(verdicts.flatMap(({ verdict, point }) => (verdict === 'ok' ? [] : [point]))).toEqual([
    'request without a token',
    'socket with a bad token',
  ])
  expect(outcomeOf(verdicts, 'request without a token')).toBe('skipped AUTH=off here: it asks for no token')
  expect(code).toBe(0)
})

test('without admin, and with some channels only, the rest is still judged and holds', async () => {
  const token = await shared.tokenFor('events:read:jobs events:read:queue api:read api:write')

  const { code, verdicts } = await runDoctor(['--live', shared.url, '--token', token])

  expect(verdicts.flatMap(({ verdict, point }) => (verdict === 'ok' ? [] : [point]))).toEqual([
    'state from events',
    'clients listed',
    'channels listed',
    'disconnect',
    'broadcast',
  ])
  expect(outcomeOf(verdicts, 'broadcast')).toBe('skipped token has no admin')
  expect(code).toBe(0)
})

test('without an address, or with one that is none, one line says what is missing', async () => {
  const none = await runDoctor([])
  const wrong = await runDoctor(['--live', 'studio'])

  expect(none).toMatchObject({
    code: 1,
    output: 'lightwire: doctor: name the running server, --live http://127.0.0.1:5100',
  })
  expect(wrong).toMatchObject({
    code: 1,
    output: 'lightwire: --live=studio: expected a URL such as http://127.0.0.1:5100',
  })
})

interface Verdict {
  readonly verdict: string
  readonly point: string
  readonly detail: string
}

async function runDoctor(
  words: readonly string[],
  settings: Readonly<Record<string, string>> = {},
  interrupt?: Promise<void>,
) {
  using own = temporaryFolder()
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
  const child = Bun.spawn([process.execPath, 'run', join(projectRoot, 'server.ts'), 'doctor', ...words], {
    env: { PATH, HOME, TMPDIR, DATA_DIR: own.path, ...settings },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  void interrupt?.then(() => child.kill('SIGINT'))
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  const output = (out + err).trim()
  const lines = output.matchAll(/^ {2}(ok|FAILED|skipped) +(.+?)(?: {2,}(.*))?$/gm)
  const verdicts = [...lines].map(([, verdict = '', point = '', detail = '']): Verdict => ({
    verdict,
    point,
    detail,
  }))
  return { code, output, verdicts }
}

/** `FAILED expected …`, or the point's name where it is missing. */
function outcomeOf(verdicts: readonly Verdict[], point: string): string {
  const found = verdicts.find((verdict) => verdict.point === point)
  return found ? `${found.verdict} ${found.detail}`.trim() : `no ${point}`
}

/** Meets the messages of one type on one framing. */
function onMessage(
  framing: string,
  type: string,
  alter: (
    message: Record<string, unknown> & { type: string },
  ) => readonly (Record<string, unknown> & { type: string })[],
): Faults {
  return { message: (message, on) => (on === framing && message.type === type ? alter(message) : [message]) }
}

function onAnswer(method: string, path: RegExp, alter: (reply: Reply) => Reply): Faults {
  return {
    answer: (request, reply) =>
      request.method === method && path.test(request.path) && reply.status < 300 ? alter(reply) : reply,
  }
}

/** Somebody else's shoot, photo by photo with jobs of the default priority, until told to stop. */
async function importAndAnalyze({ api }: TestServer, signal: AbortSignal): Promise<void> {
  for (let n = 0; !signal.aborted; n += 1) {
    const { body: photo } = await api<{ id: number }>('POST', '/api/photos', {
      file_path: `/others/${n}.jpg`,
    })
    await api('PATCH', `/api/photos/${photo.id}`, { ai_score: 3 })
    const { body: job } = await api<{ id: string }>('POST', '/api/jobs', { photo_id: photo.id })
    await api('DELETE', `/api/jobs/${job.id}`)
  }
}

/** A worker that takes every new job, when it is created or first looked at, and completes it when all are listed. */
function workAlong({ api }: TestServer, atOnce: boolean): NonNullable<Faults['answer']> {
  const held: { id: string; attempts: number }[] = []
  return async ({ method, path }, reply) => {
    const takes = atOnce
      ? method === 'POST' && path === '/api/jobs'
      : method === 'GET' && /^\/api\/jobs\/\w+$/.test(path)
    if (takes) {
      const { body } = await api<{ job: (typeof held)[number] | null }>('POST', '/api/jobs/claim', {
        worker: 'along',
      })
      if (body.job) held.push(body.job)
    }
    if (method !== 'GET' || path !== '/api/jobs') return reply
    for (const { id, attempts: attempt } of held.splice(0))
      await api('POST', `/api/jobs/${id}/complete`, { attempt })
    return reply
  }
}
