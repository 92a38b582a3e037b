/** The TypeScript client as a package: what somebody gets who installs it, and the lines of its README. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { publint } from 'publint'
import { buildClient } from '../../cli/build-client.ts'
import { clientTypesText } from '../../cli/client-types-text.ts'
import { needs } from '../support/needs.ts'
import { projectRoot } from '../support/process.ts'
import { startTestServer, temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

const source = join(projectRoot, 'clients', 'typescript')
const readme = readFileSync(join(source, 'README.md'), 'utf8')
const folder = temporaryFolder()
const installed = join(folder.path, 'node_modules', '@lightwire', 'client')
const built = (name: string) => readFileSync(join(installed, 'dist', name))

beforeAll(async () => {
  mkdirSync(installed, { recursive: true })
  for (const name of ['package.json', 'README.md']) cpSync(join(source, name), join(installed, name))
  await buildClient(join(installed, 'dist'))
})
afterAll(() => folder[Symbol.dispose]())

test('its event types are those of the catalogue; npm run docs writes them anew', () => {
  expect(readFileSync(join(source, 'src', 'events.ts'), 'utf8') === clientTypesText()).toBe(true)
})

test('publint finds nothing to say', async () => {
  const { messages } = await publint({ pkgDir: installed, pack: false, strict: true })

  expect(messages).toEqual([])
})

test('it is as small as its README says, and not much smaller', () => {
  const said = [...readme.matchAll(/(\d+) KB/g)].slice(0, 4).map(([, kilobytes]) => Number(kilobytes))
  const sizes = ['client.js', 'react.js'].flatMap((name) => {
    const bytes = built(name)
    return [bytes.length, Bun.gzipSync(bytes, { level: 9 }).length]
  })

  for (const [index, bytes] of sizes.entries()) {
    expect(bytes).toBeLessThanOrEqual((said[index] ?? 0) * 1000)
    expect(bytes).toBeGreaterThan((said[index] ?? 0) * 750)
  }
})

test('it loads nothing but msgpackr where a framing asks for it, and React for its hooks', () => {
  const imports = (name: string) =>
    [
      ...built(name)
        .toString()
        .matchAll(/(?:\bfrom|\bimport\(?)\s*["']([^"']+)["']/g),
    ].map(([, path]) => path)

  expect(imports('client.js')).toEqual(['msgpackr'])
  expect(imports('react.js')).toEqual(['react'])
})

test.each(['nodenext', 'bundler'])(
  'its types hold for an application, resolved as %s',
  async (resolution) => {
    const right = `
    import { createClient, type LightwireEvent } from '@lightwire/client'
    const client = createClient({ url: 'http://127.0.0.1:1' })
    client.on('job_progress', (event) => event.progress.toFixed() + event.job_id.trim())
    client.on('*', (event: LightwireEvent) => event.type === 'photo_rejected' && event.reason.trim())
    void client.subscribe(['jobs'], { where: { session_id: 1, progress: { gte: 50 } }, batchMs: 100 })
    void client.publish({ type: 'system_status', status: 'on' }).then(({ seq }) => seq.toFixed())
  `
    const wrong = [
      `client.on('job_progress', (event) => event.file_name)`,
      `client.on('job_progres', () => undefined)`,
      `void client.subscribe(['job'])`,
      `void client.publish({ type: 'system_status' })`,
      `void client.publish({ type: 'job_failed', job_id: 'a', error_message: 1 })`,
    ]
    const check = async (name: string, text: string) => {
      await Bun.write(join(folder.path, name), text)
      const options = [
        '--noEmit',
        '--strict',
        '--skipLibCheck',
        'false',
        '--target',
        'es2022',
        '--lib',
        'es2022,dom,dom.iterable',
      ]
      const module = [
        '--module',
        resolution === 'bundler' ? 'esnext' : 'nodenext',
        '--moduleResolution',
        resolution,
      ]
      const compiler = join(projectRoot, 'node_modules', '.bin', 'tsc')
      const run = Bun.spawnSync([compiler, ...options, ...module, '--types', '', name], { cwd: folder.path })
      return run.stdout.toString()
    }

    expect(await check('right.mts', right)).toBe('')
    const said = await check('wrong.mts', `${right}\n${wrong.join('\n')}`)
    const lines = right.split('\n').length
    expect(wrong.map((_, index) => said.includes(`wrong.mts(${lines + 1 + index},`))).toEqual(
      wrong.map(() => true),
    )
  },
)

/** The lines of the README, as they stand there. */
const lines = /## Ten lines\n\n```js\n([^]*?)```/.exec(readme)?.[1] ?? ''

async function tryLines(runtime: string): Promise<string[]> {
  await using server = await startTestServer()
  const script = join(folder.path, 'app.mjs')
  await Bun.write(script, lines)
  const env = { PATH: process.env['PATH'] ?? '', LIGHTWIRE_URL: server.url, LIGHTWIRE_TOKEN: server.token }
  const child = Bun.spawn([runtime, script], { cwd: folder.path, env, stdout: 'pipe', stderr: 'inherit' })
  let said = ''
  const decoder = new TextDecoder()
  for await (const chunk of child.stdout) {
    said += decoder.decode(chunk)
    if (said.includes('of its channel')) break
  }
  child.kill()
  await child.exited
  return said.trim().split('\n')
}
const wanted = ['connecting', 'connected', 'event 1 of its channel']

test('the ten lines of its README work in Bun', async () => {
  expect(lines.trim().split('\n').filter(Boolean).length).toBeLessThanOrEqual(10)
  expect(await tryLines(process.execPath)).toEqual(wanted)
})

needs('node')('the ten lines of its README work in Node', async ({ node }) => {
  expect(await tryLines(node)).toEqual(wanted)
})

test('its example gives the token to its own page, and to none whose name just leads here', async () => {
  const example = join(source, 'examples', 'progress', 'serve.ts')
  const env = { PATH: process.env['PATH'] ?? '', PORT: '0', LIGHTWIRE_TOKEN: 'a-token' }
  const child = Bun.spawn([process.execPath, 'run', example], { env, stdout: 'pipe', stderr: 'inherit' })
  const said = await child.stdout.getReader().read()
  const port = /:(\d+)\//.exec(new TextDecoder().decode(said.value))?.[1]
  const ask = async (host: string) => {
    const response = await fetch(`http://127.0.0.1:${port}/token`, { headers: { Host: host } })
    return `${response.status} ${await response.text()}`
  }
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `elsewhere.example:${port}`, 'localhost:1']
  const answers = await Promise.all(hosts.map(ask))
  child.kill()
  await child.exited

  expect(answers).toEqual(['200 a-token', '200 a-token', '403 ', '403 '])
})
