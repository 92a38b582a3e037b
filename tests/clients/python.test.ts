/** What the Python client promises beside the scenarios: its own tests, its types, its package, its README, its other ways. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pythonEventsText } from '../../cli/python-events-text.ts'
import { makeCertificate } from '../access/certificate.ts'
import { needs } from '../support/needs.ts'
import { projectRoot } from '../support/process.ts'
import { startTestServer, temporaryFolder } from '../support/server.ts'
import { startDriver } from './driver.ts'
import { players } from './players.ts'

setDefaultTimeout(120_000)

const folder = join(projectRoot, 'clients', 'python')
const readme = readFileSync(join(folder, 'README.md'), 'utf8')
const tenLines = /```python\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
const LINES_MAX = 300

/** Nothing is written beside the sources, and pip has no opinion about who runs it. */
const env = {
  PATH: process.env['PATH'] ?? '',
  HOME: process.env['HOME'] ?? '',
  PYTHONDONTWRITEBYTECODE: '1',
  PIP_ROOT_USER_ACTION: 'ignore',
}

async function run(words: readonly string[], cwd: string, more: Record<string, string> = {}) {
  const child = Bun.spawn([...words], { cwd, env: { ...env, ...more }, stdout: 'pipe', stderr: 'pipe' })
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()])
  return { code: await child.exited, out, err }
}

test('events.py is what the catalogue says; npm run docs writes it anew', () => {
  expect(readFileSync(join(folder, 'lightwire', 'events.py'), 'utf8') === pythonEventsText()).toBe(true)
})

test(`its files open with a sentence, and have at most ${LINES_MAX} lines`, () => {
  const files = ['lightwire', 'examples/desktop', 'tests'].flatMap((part) =>
    readdirSync(join(folder, part)).map((name) => join(folder, part, name)),
  )
  const sources = files
    .filter((path) => path.endsWith('.py') && !path.endsWith('events.py'))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }))

  expect(sources.length).toBeGreaterThan(20)
  expect(
    sources.filter(({ text }) => text !== '' && !text.startsWith('"""')).map(({ path }) => path),
  ).toEqual([])
  expect(
    sources.filter(({ text }) => text.split('\n').length > LINES_MAX + 1).map(({ path }) => path),
  ).toEqual([])
})

needs('pyqt', 'python')('its own tests pass', async ({ pyqt }) => {
  const { code, err } = await run([pyqt, '-m', 'unittest', 'discover', '-s', 'tests', '-t', '.'], folder)

  expect(err).toContain('\nOK')
  expect(err).not.toContain('skipped')
  expect(code).toBe(0)
})

needs('mypy')('it is strictly typed, and knows the fields of each event', async ({ mypy }) => {
  using home = temporaryFolder()
  const page = join(home.path, 'page.py')
  writeFileSync(
    page,
    `from lightwire import Client

client = Client("http://127.0.0.1:5100")


async def slow(event: object) -> None:
    pass


client.on("job_progress", lambda event: print(event["progress"].hex()))
client.on("job_progress", lambda event: print(event["nothing"]))
client.on("job_progres", print)
client.on("job_progress", slow)
`,
  )
  const strict = ['--strict', '--python-version', '3.10', '--cache-dir', join(home.path, 'cache')]
  const { out } = await run([mypy, ...strict, 'lightwire', 'examples', page], folder)

  const errors = out.split('\n').filter((line) => line.includes(' error: '))
  expect(new Set(errors.map((line) => line.split(': error: ')[0]))).toEqual(
    new Set([11, 12, 13].map((line) => `${page}:${line}`)),
  )
  expect(errors.join()).toContain('has no key "nothing"')
})

needs('pip')(
  'pip installs it, and the ten lines of the README show what is there and what is new',
  async ({ pip }) => {
    using home = temporaryFolder()
    await using server = await startTestServer()
    await server.api('POST', '/api/sessions', { name: 'Wedding', import_folder: '/w' })
    // A build leaves things beside the sources.
    const [source, target] = [join(home.path, 'source'), join(home.path, 'target')]
    cpSync(folder, source, { recursive: true })
    const offline = ['--no-index', '--no-build-isolation', '--no-deps', '--disable-pip-version-check']
    const installed = await run(
      [pip, '-m', 'pip', 'install', '-q', ...offline, '--target', target, source],
      home.path,
    )
    expect([installed.code, installed.err]).toEqual([0, ''])
    const script = join(home.path, 'ten_lines.py')
    writeFileSync(
      script,
      tenLines.replace('http://127.0.0.1:5100', server.url).replace('TOKEN', server.token),
    )

    const child = Bun.spawn([pip, '-u', script], {
      env: { ...env, PYTHONPATH: target },
      stdout: 'pipe',
      stderr: 'inherit',
    })
    let said = ''
    const decoder = new TextDecoder()
    for await (const chunk of child.stdout) {
      said += decoder.decode(chunk)
      if (said.includes('new: Portraits\n')) break
      if (said.includes('\n') && !said.includes('Portraits'))
        void server.api('POST', '/api/sessions', { name: 'Portraits', import_folder: '/p' })
    }
    child.kill()
    await child.exited

    const [first = '', ...rest] = said.trim().split('\n')
    expect(tenLines.split('\n').filter((line) => line.trim() !== '')).toHaveLength(10)
    expect(first).toContain("'name': 'Wedding'")
    expect(rest).toEqual(['new: Portraits'])
    expect(readdirSync(join(target, 'lightwire'))).toContain('py.typed')
  },
)

const ways = [
  { transport: 'websocket', framing: 'deflate' },
  { transport: 'websocket', framing: 'msgpack' },
  { transport: 'poll', framing: 'json' },
] as const

for (const { transport, framing } of ways) {
  needs('python')(`over ${transport} in ${framing} it sees and publishes what there is`, async () => {
    await using server = await startTestServer()
    await using driver = startDriver(players.python.words)
    const { url, token } = server
    await driver.tell({ do: 'connect', url, token, transport, framing })
    const channels = await driver.tell({ do: 'subscribe', channels: ['system', 'sessions'] })
    const status = 'grüß dich, 写真 '.repeat(20)

    await server.api('POST', '/api/sessions', { name: 'Süd', import_folder: '/s' })
    const seq = await driver.tell({ do: 'publish', event: { type: 'system_status', status } })
    await driver.until('both', () => driver.events.length === 2)

    const state = await driver.state()
    expect(channels).toEqual(['sessions', 'system'])
    expect(driver.events.map((event) => event['session_name'] ?? event['status']).toSorted()).toEqual([
      'Süd',
      status,
    ])
    expect(seq).toBe(1)
    expect([state.status, state.transport]).toEqual(['connected', transport])
  })
}

const talk = `
import asyncio, json, sys
from lightwire import Client, Refused

async def get_token():
    return sys.argv[2]

async def refusal(act):
    try:
        return await act
    except Refused as refused:
        return refused.code

async def main():
    said = []
    async with Client(sys.argv[1], get_token, transport=sys.argv[3] or None) as client:
        client.on_message(said.append)
        client.on("session_created", lambda event: 1 / 0)
        client.on_error(lambda error: said.append({"type": type(error).__name__}))
        await client.subscribe(["sessions"])
        hello = await client.request({"type": "hello", "name": "Ada"})
        silent = await refusal(client.request({"type": "silent"}, timeout=0.3))
        unknown = await refusal(client.request({"type": "unheard_of"}))
        session = await client.rest.call("POST", "/api/sessions", {"name": "Own", "import_folder": "/o"})
        await client.rest.call("POST", "/api/websocket/broadcast", {"message": {"type": "lunch"}})
        gone = await refusal(client.rest.read("/api/sessions/99"))
        while len(said) < 2:
            await asyncio.sleep(0.01)
        print(json.dumps([hello["greeting"], silent, unknown, session.body["name"], gone, sorted(m["type"] for m in said)]))

asyncio.run(main())
`

for (const transport of ['websocket', 'poll']) {
  needs('python')(
    `over ${transport} it asks, is answered, refused, and told what operators say`,
    async ({ python }) => {
      const handlers = {
        hello: ({ name }: Record<string, unknown>) => ({
          type: 'greeting',
          greeting: `hello ${String(name)}`,
        }),
        silent: () => undefined,
      }
      await using server = await startTestServer({}, { handlers })

      const words = [python, '-c', talk, server.url, server.token, transport]
      const { out, err } = await run(words, folder)

      expect(err).toBe('')
      expect(JSON.parse(out)).toEqual([
        'hello Ada',
        'timeout',
        'unknown_type',
        'Own',
        'not_found',
        ['ZeroDivisionError', 'lunch'],
      ])
    },
  )
}

const unsendable = `
import asyncio, datetime, json, sys
from lightwire import Client, Refused

async def get_token():
    return sys.argv[2]

async def outcome(act):
    try:
        return (await asyncio.wait_for(act, 10)).seq
    except asyncio.TimeoutError:
        return "stuck"
    except Refused as refused:
        return refused.code
    except Exception as error:
        return type(error).__name__

async def main():
    async with Client(sys.argv[1], get_token, transport=sys.argv[3]) as client:
        statuses = []
        client.on_status(lambda status, code: statuses.append(status))
        bad = [datetime.datetime(2026, 1, 1), float("nan"), "/photos/\\udce9.raw", "x" * 70000]
        good = {"type": "system_status", "status": "good"}
        publishes = [outcome(client.publish({**good, "status": value})) for value in bad]
        said = await asyncio.gather(*publishes, outcome(client.publish(good)))
        said.append(await outcome(client.subscribe(["system"], where={"status": bad[2]})))
        said.append(await outcome(client.request({"type": "hello", "at": bad[0]})))
        print(json.dumps([said, statuses]))

asyncio.run(main())
`

for (const transport of ['websocket', 'poll']) {
  needs('python')(
    `over ${transport} what cannot be sent is its caller's error, and what comes behind it goes out`,
    async ({ python }) => {
      await using server = await startTestServer()

      const words = [python, '-c', unsendable, server.url, server.token, transport]
      const { out, err } = await run(words, folder)

      expect(err).toBe('')
      expect(JSON.parse(out)).toEqual([
        ['TypeError', 'ValueError', 'UnicodeEncodeError', 'too_large', 1, 'UnicodeEncodeError', 'TypeError'],
        [],
      ])
    },
  )
}

const secure = `
import asyncio, ssl, sys
from lightwire import Client

async def get_token():
    return sys.argv[2]

async def main():
    tls = ssl.create_default_context(cafile=sys.argv[3])
    for transport in ("websocket", "poll"):
        async with Client(sys.argv[1], get_token, transport=transport, tls=tls) as client:
            print(client.transport, await client.subscribe(["jobs"]))

asyncio.run(main())
`

needs('python', 'openssl')('over TLS it trusts whom it is told to trust', async ({ python }) => {
  using home = temporaryFolder()
  mkdirSync(join(home.path, 'tls'))
  const { cert, key } = makeCertificate(join(home.path, 'tls'))
  await using server = await startTestServer({ TLS_CERT: cert, TLS_KEY: key })

  const words = [python, '-c', secure, server.url, server.token, cert]
  const { out, err } = await run(words, folder)

  expect(err).toBe('')
  expect(out).toBe("websocket ['jobs']\npoll ['jobs']\n")
})
