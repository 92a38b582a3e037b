/** What the Python client keeps to over restarts, odd answers and silence: each was broken once. */
import { expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import { FULL_SCOPE } from '../../lib/access/rights.ts'
import { startMeddler } from '../support/meddler.ts'
import { needs } from '../support/needs.ts'
import { projectRoot } from '../support/process.ts'
import { startTestServer, temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

const head = `
import asyncio, json, sys
from lightwire import Client, FileStorage, Refused

async def get_token():
    return sys.argv[2]

async def outcome(act, seconds=5):
    try:
        return await asyncio.wait_for(act, seconds)
    except asyncio.TimeoutError:
        return "stuck"
    except Refused as refused:
        return refused.code
`

/** What a program says, as JSON: it is handed where the server is, a token, and more words. */
async function said(python: string, program: string, ...words: readonly string[]): Promise<unknown> {
  const text = `${head}${program}\nasyncio.run(main())\n`
  const child = Bun.spawn([python, '-c', text, ...words], {
    cwd: join(projectRoot, 'clients', 'python'),
    env: { PATH: process.env['PATH'] ?? '', PYTHONDONTWRITEBYTECODE: '1' },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  expect(err).toBe('')
  return JSON.parse(out)
}

const life = `
async def main():
    async with Client(sys.argv[1], get_token, storage=FileStorage(sys.argv[3])) as client:
        seen, lost = [], []
        client.on_event(lambda event: seen.append(event.get("status") or event["session_name"]))
        client.on_state_lost(lost.append)
        await client.subscribe(sys.argv[4].split("+"))
        await client.request({"type": "ping"})
    print(json.dumps([seen, lost]))
`

needs('python')(
  'what is kept of a channel outlives a restart after which others are followed first',
  async ({ python }) => {
    using home = temporaryFolder()
    const kept = join(home.path, 'cursor')
    const DATA_DIR = join(home.path, 'data')
    {
      await using server = await startTestServer({ DATA_DIR })
      await said(python, life, server.url, server.token, kept, 'sessions+system')
    }
    await using server = await startTestServer({ DATA_DIR })
    await server.api('POST', '/api/sessions', { name: 'missed', import_folder: '/missed' })
    await server.api('POST', '/api/system/status', { status: 'b' })

    expect(await said(python, life, server.url, server.token, kept, 'system')).toEqual([['b'], []])
    expect(await said(python, life, server.url, server.token, kept, 'sessions')).toEqual([['missed'], []])
  },
)

const unsubscribing = `
async def main():
    client = Client(sys.argv[1], get_token)
    early = asyncio.create_task(outcome(client.subscribe(["jobs"])))
    client.start()
    while not client._stream.following.places:
        await asyncio.sleep(0)
    left = await client.unsubscribe(["jobs"])
    said = [await early, left, await outcome(client.subscribe([])), await outcome(client.subscribe(["photos", "photos"]))]
    await client.close()
    unstarted = Client(sys.argv[1], get_token)
    late = asyncio.create_task(outcome(unstarted.subscribe(["jobs"])))
    await asyncio.sleep(0)
    await unstarted.close()
    print(json.dumps([*said, await late]))
`

needs('python')(
  'subscribe settles, also of what is unsubscribed before there is a line, of nothing, and of a repeat',
  async ({ python }) => {
    await using server = await startTestServer()

    expect(await said(python, unsubscribing, server.url, server.token)).toEqual([
      [],
      [],
      [],
      ['photos'],
      'closed',
    ])
  },
)

const impatient = `
async def main():
    async with Client(sys.argv[1], get_token, transport=sys.argv[3]) as client:
        faults = []
        client.on_error(lambda error: faults.append(repr(error)))
        client.on_message(faults.append)
        asked = [outcome(client.request({"type": "silent"}, timeout=0.5)) for _ in range(256)]
        codes = sorted(set(await asyncio.gather(*asked)))
        late = await outcome(client.request({"type": "late"}, timeout=0.1))
        # It is answered after what was asked before it.
        pong = await client.request({"type": "ping"})
        print(json.dumps([codes, late, pong["type"], client._connection.link.waiting, faults]))
`

for (const transport of ['websocket', 'poll']) {
  needs('python')(
    `over ${transport} a request without an answer is forgotten, and an answer that comes late with it`,
    async ({ python }) => {
      const late = async () => {
        await Bun.sleep(1000)
        return { type: 'greeting' }
      }
      await using server = await startTestServer({}, { handlers: { silent: () => undefined, late } })

      expect(await said(python, impatient, server.url, server.token, transport)).toEqual([
        ['timeout'],
        'timeout',
        'pong',
        0,
        [],
      ])
    },
  )
}

const polling = `
async def main():
    client = Client(sys.argv[1], get_token, transport="poll")
    seen, told = asyncio.Event(), []
    client.on("system_status", lambda event: seen.set())
    client.on_status(lambda status, code: told.append(code) if status == "waiting" else None)
    client.on_error(lambda error: told.append(repr(error)))
    await client.connect()
    await client.subscribe(["system"])
    await client.rest.read("/api/queue")
    await outcome(client.request({"type": "ping"}, timeout=2))
    await client.rest.call("POST", "/api/system/status", {"status": "after"})
    first = await outcome(seen.wait(), 10)
    await client.close()
    print(json.dumps([first, told]))
`

const malformed = [
  { path: '/ws/poll', text: '{"success":true,"messages":null}' },
  { path: '/ws/poll', text: '{"success":true,"messages":[{"type":"connection_established"}]}' },
  { path: '/ws/poll', text: '{"success":true,"messages":[7]}' },
  { path: '/ws/send', text: '{"success":true,"response":{"type":7}}' },
]

for (const { path: where, text } of malformed) {
  needs('python')(`polling goes on over another line after ${where} answered ${text}`, async ({ python }) => {
    await using server = await startTestServer()
    let spoils = false
    await using meddler = startMeddler(server.url, {
      answer({ path }, reply) {
        if (path === '/api/queue') spoils = true
        if (!spoils || path !== where) return reply
        spoils = false
        return { ...reply, status: 200, text }
      },
    })

    const told = await said(python, polling, meddler.url, server.token)

    expect(told).toEqual([true, ['unreachable']])
  })
}

const joining = `
async def main():
    async with Client(sys.argv[1], get_token) as client:
        shown = []
        read = lambda: client.rest.read("/api/sessions")
        print(json.dumps([await outcome(client.snapshot_then_follow(read, ["sessions"], shown.append)), shown]))
`

needs('python')(
  'a snapshot whose cursor was taken away is refused, not followed from now on',
  async ({ python }) => {
    await using server = await startTestServer()
    await using meddler = startMeddler(server.url, {
      answer(_, reply) {
        const headers = new Headers(reply.headers)
        headers.delete('lightwire-cursor')
        return { ...reply, headers }
      },
    })

    expect(await said(python, joining, meddler.url, server.token)).toEqual(['malformed', []])
  },
)

const refreshing = `
async def main():
    given, faults, kept = iter(sys.argv[2:]), [], []

    async def get_renewed():
        kept.append(next(given, kept[-1] if kept else None))
        return kept[-1]

    client = Client(sys.argv[1], get_renewed)
    client.on_error(lambda error: faults.append(getattr(error, "code", repr(error))))
    await client.connect()
    # A tenth of a second, and up to half a one more.
    await asyncio.sleep(2)
    await client.close()
    print(json.dumps([faults, len(set(kept))]))
`

needs('python')('a refresh that the server cannot look at now is tried again', async ({ python }) => {
  await using server = await startTestServer()
  const issue = (expiresInMs: number) =>
    server.server.issueToken({ subject: 'tester', scope: FULL_SCOPE, expiresInMs })
  const authenticated: string[] = []
  await using meddler = startMeddler(server.url, {
    message(message) {
      if (message.type !== 'authenticated') return [message]
      authenticated.push(message.type)
      if (authenticated.length > 1) return [message]
      return [
        { type: 'error', id: message['id'], code: 'rate_limited', error: 'slowly', retry_after_ms: 100 },
      ]
    },
  })

  const told = await said(python, refreshing, meddler.url, await issue(30_000), await issue(3_600_000))

  expect(told).toEqual([['rate_limited'], 2])
  expect(authenticated).toHaveLength(2)
})
