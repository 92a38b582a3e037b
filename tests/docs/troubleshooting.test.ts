/** docs/troubleshooting.md names only what there is, and its commands run as they stand there. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import { metricsTable } from '../../lib/metrics.ts'
import { refusals } from '../../lib/protocol/refusals.ts'
import { settingsTable } from '../../lib/settings.ts'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { needs } from '../support/needs.ts'
import { projectRoot, startProcess } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

const document = readFileSync(join(projectRoot, 'docs', 'troubleshooting.md'), 'utf8')
const blocks = [...document.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block)
const prose = document.replaceAll(/```sh\n[\s\S]*?```/g, '')
/** What is in backticks, a line's end being a space. */
const quoted = [...prose.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text.replaceAll(/\s+/g, ' '))
/** curl's exit code when its time is over. */
const TIME_IS_OVER = 28

test('the metrics, settings and refusals that it names are there', () => {
  const metrics = quoted.flatMap((text) => text.match(/lightwire_\w+/g) ?? [])
  const settings = quoted
    .flatMap((text) => text.match(/^[A-Z]{2,}(_[A-Z]+)*\b/g) ?? [])
    .filter((name) => name !== 'URL')
  const firsts = [...prose.matchAll(/^\| (`[^|]*)\|/gm)].flatMap(
    ([, cell = '']) => cell.match(/`([a-z_]+)`/g) ?? [],
  )
  const codes = firsts.map((text) => text.slice(1, -1)).filter((text) => !text.startsWith('lightwire_'))

  expect(metrics.length).toBeGreaterThan(10)
  expect(metrics.filter((name) => !metricsTable().includes(`| ${name} |`))).toEqual([])
  expect(settings.length).toBeGreaterThan(10)
  expect(settings.filter((name) => !settingsTable().includes(`| ${name} |`))).toEqual([])
  expect(codes.length).toBeGreaterThan(8)
  expect(codes.filter((code) => !(code in refusals))).toEqual([])
})

test('the close codes that it names are those of their refusals', () => {
  const rows = [...prose.matchAll(/^\| `(\w+)`, close (\d+) \|/gm)].map(([, code, close]) => [
    code,
    Number(close),
  ])

  expect(rows.length).toBeGreaterThan(5)
  expect(rows).toEqual(
    rows.map(([code]) => [code, (refusals as Record<string, { close?: number }>)[String(code)]?.close]),
  )
})

test('the log lines and addresses that it names are those of the source', () => {
  const source = [...new Glob('{lib,cli}/**/*.ts').scanSync(projectRoot), 'server.ts']
    .map((path) => readFileSync(join(projectRoot, path), 'utf8'))
    .join('\n')
  const lines = [
    'opened a connection',
    'closed a connection',
    'answered a request',
    'moved a slow connection to the journal',
    'listening on',
  ]
  const paths = [...document.matchAll(/\/(?:api|ws)\/[a-z/]+/g)].map(([path]) => path.replace(/\/$/, ''))
  const known = declaredRoutes().map(({ path }) => path)

  expect(lines.filter((line) => !quoted.includes(line))).toEqual([])
  expect(lines.filter((line) => !source.includes(line))).toEqual([])
  expect(paths.length).toBeGreaterThan(8)
  expect(paths.filter((path) => !known.includes(path))).toEqual([])
})

needs('curl')('its commands run as they stand there', async () => {
  using folder = temporaryFolder()
  await using parts = new AsyncDisposableStack()
  const server = await startProcess({ folder: folder.path })
  parts.defer(async () => void (await server.kill()))
  const [first = '', ...others] = blocks.map((block) =>
    block.replaceAll('bun run server.ts', `'${process.execPath}' run '${join(projectRoot, 'server.ts')}'`),
  )
  const opening = first.replace('http://127.0.0.1:5100', server.url)
  const run = async (block: string, env: Record<string, string> = {}) => {
    const child = Bun.spawn(['bash', '-o', 'pipefail', '-c', `set -e\n${block}`], {
      cwd: folder.path,
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '',
        DATA_DIR: folder.path,
        ...env,
      },
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [text, complaints] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ])
    const code = await child.exited
    const isOver = code === TIME_IS_OVER && block.includes('--max-time')
    if (code !== 0 && !isOver) throw new Error(`${block}\nended with ${code}: ${text}\n${complaints}`)
    return text
  }
  const [URL = '', TOKEN = ''] = (await run(`${opening}\necho "$URL $TOKEN"`)).trim().split(' ')
  const said = []
  for (const block of others) said.push(await run(block, { URL, TOKEN }))

  const [doctor, ready, check, token, upgrade, refused, journal, clients, stream, times] = said
  expect(said).toHaveLength(10)
  expect(doctor).toMatch(/latency +from the answer to the event: median [^]* 0 FAILED/)
  expect(ready).toContain('{"ready":true}')
  expect(check).toContain('HOST=127.0.0.1')
  expect(token).toMatch(/^HTTP\/1.1 200 OK[^]*"cursor":"\w+:approval=\d+,/)
  expect(upgrade).toMatch(/101 Switching Protocols[^]*connection_established/)
  expect(refused).toContain('lightwire_closes_total{code="4501"}')
  expect(journal).toContain('"type":"job_completed"')
  expect(clients).toMatch(/"clients":\[[^]*"head_seq"/)
  expect(stream).toContain('retry: 1000')
  expect(times).toMatch(/lightwire_sync_seconds_sum[^]*lightwire_pending_writes 0/)
})
