/** The web app at `/`: what its files are served with, and that nothing else is served beside them. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createWebApp } from '../../lib/http/web-app.ts'
import { startBrowser } from '../support/browser.ts'
import { needs } from '../support/needs.ts'
import { rawRequest } from '../support/raw-http.ts'
import { startTestServer, temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Lightwire</title>
<link rel="manifest" href="/manifest.webmanifest"></head>
<body><p id="out"></p><script type="module" src="./src/main.tsx"></script></body></html>`
const main = `import './app.css'
const out = document.getElementById('out')
if (out) out.textContent = 'it runs ' + ${JSON.stringify('long '.repeat(200))}`

/** A page with a script, a style, a service worker and public files, and a secret beside them. */
function sources() {
  const folder = temporaryFolder()
  const write = (name: string, text: string) => {
    mkdirSync(join(folder.path, name, '..'), { recursive: true })
    writeFileSync(join(folder.path, name), text)
  }
  write('web/index.html', page)
  write('web/src/main.tsx', main)
  write('web/src/app.css', 'body { margin: 0; background: #123456 }')
  write(
    'web/src/sw.ts',
    'declare const SHELL: string[]; declare const BUILD: string; console.log(SHELL, BUILD)',
  )
  write('web/public/manifest.webmanifest', '{"name":"Lightwire"}')
  write('web/public/icon.svg', '<svg xmlns="http://www.w3.org/2000/svg"/>')
  write('secret.txt', 'the secret')
  symlinkSync(join(folder.path, 'secret.txt'), join(folder.path, 'web', 'link.txt'))
  return { ...folder, web: join(folder.path, 'web') }
}

/** Paths of the page's script and style, as the page names them. */
const assetsOf = (text: string) => [...text.matchAll(/"(\/assets\/[^"]+)"/g)].map(([, path = '']) => path)

test('the page is served with its hashed script and style, and without a token', async () => {
  using folder = sources()
  await using server = await startTestServer({}, { webFolder: folder.web })

  const home = await fetch(`${server.url}/`)
  const text = await home.text()
  const assets = await Promise.all(assetsOf(text).map((path) => fetch(`${server.url}${path}`)))
  const bodies = await Promise.all(assets.map((asset) => asset.text()))
  const manifest = await fetch(`${server.url}/manifest.webmanifest`)
  const worker = await fetch(`${server.url}/sw.js`)

  expect([home.status, home.headers.get('cache-control')]).toEqual([200, 'no-cache'])
  expect(home.headers.get('content-type')).toBe('text/html;charset=utf-8')
  expect(text).not.toMatch(/<script(?![^>]* src=)|<style|src\/main/)
  expect(assets.map(({ headers }) => headers.get('cache-control'))).toEqual(
    assets.map(() => 'public, max-age=31536000, immutable'),
  )
  expect(assets.map(({ headers }) => headers.get('content-type')).toSorted()).toEqual([
    'text/css;charset=utf-8',
    'text/javascript;charset=utf-8',
  ])
  expect(bodies.join()).toContain('it runs')
  expect(bodies.join()).toContain('#123456')
  expect(manifest.headers.get('content-type')).toBe('application/manifest+json')
  expect([worker.status, worker.headers.get('service-worker-allowed')]).toEqual([200, '/'])
  expect(worker.headers.get('cache-control')).toBe('no-cache')
  const shell = await worker.text()
  for (const path of ['/', '/manifest.webmanifest', '/icon.svg', ...assetsOf(text)])
    expect(shell).toContain(`"${path}"`)
})

test('a file that the browser has is not sent again, and what shrinks travels zipped', async () => {
  using folder = sources()
  await using server = await startTestServer({}, { webFolder: folder.web })
  const plain = { 'Accept-Encoding': 'identity' }
  const home = await fetch(`${server.url}/`, { headers: plain })
  const script = assetsOf(await home.text()).find((path) => path.endsWith('.js')) ?? ''
  const ask = (headers: Record<string, string>, method = 'GET') =>
    fetch(`${server.url}${script}`, { method, headers, decompress: false } as RequestInit)

  const whole = await ask(plain)
  const zipped = await ask({ 'Accept-Encoding': 'br, gzip' })
  const unwanted = await ask({ 'Accept-Encoding': 'gzip;q=0, br' })
  const [wholeTag = '', zippedTag = ''] = [whole, zipped].map(({ headers }) => headers.get('etag') ?? '')
  const again = await Promise.all([
    ask({ ...plain, 'If-None-Match': wholeTag }),
    ask({ ...plain, 'If-None-Match': `"x", W/${wholeTag}` }),
    ask({ 'Accept-Encoding': 'gzip', 'If-None-Match': zippedTag }),
    ask({ 'Accept-Encoding': 'gzip', 'If-None-Match': wholeTag }),
  ])
  const head = await ask(plain, 'HEAD')
  const text = await whole.text()

  expect([whole, zipped, unwanted].map(({ headers }) => headers.get('content-encoding'))).toEqual([
    null,
    'gzip',
    null,
  ])
  expect(new TextDecoder().decode(Bun.gunzipSync(await zipped.arrayBuffer()))).toBe(text)
  expect(zippedTag).not.toBe(wholeTag)
  expect(again.map(({ status }) => status)).toEqual([304, 304, 304, 200])
  expect(again[0]?.headers.get('cache-control')).toContain('immutable')
  expect([head.status, await head.text(), head.headers.get('etag')]).toEqual([200, '', wholeTag])
  expect(whole.headers.get('vary')).toBe('Accept-Encoding')
})

test('only the known files are served: no source, no neighbour, no path that climbs', async () => {
  using folder = sources()
  await using server = await startTestServer({}, { webFolder: folder.web })
  const host = new URL(server.url).host
  const paths = [
    '/src/main.tsx',
    '/src/sw.ts',
    '/index.html',
    '/link.txt',
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/assets/..%2f..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '/..%5csecret.txt',
    '/assets/%2e%2e/%2e%2e/secret.txt',
    '//secret.txt',
    '/assets/',
    '/assets',
    '/public/icon.svg',
    '/secret.txt%00.svg',
    `/${folder.web}/index.html`,
    `/file://${folder.web}/index.html`,
  ]

  const answers = await Promise.all(
    paths.map((path) => rawRequest(server.url, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)),
  )
  const posted = await fetch(`${server.url}/`, { method: 'POST' })
  const elsewhere = await rawRequest(server.url, 'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n')

  expect(answers.map(({ status }, at) => `${paths[at]} ${status}`)).toEqual(
    paths.map((path) => `${path} 404`),
  )
  expect(answers.some(({ body }) => body.includes('the secret'))).toBe(false)
  expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET'])
  expect(elsewhere.status).toBe(403)
})

test('without sources there is no page, and the rest works', async () => {
  using folder = temporaryFolder()
  await using server = await startTestServer({}, { webFolder: folder.path })

  const { status } = await fetch(`${server.url}/`)

  expect([status, (await server.api('GET', '/api/sessions')).status]).toEqual([404, 200])
})

test('sources that cannot be built cost the page alone', async () => {
  using folder = sources()
  writeFileSync(join(folder.web, 'src', 'main.tsx'), 'const = ;')
  await using server = await startTestServer({}, { webFolder: folder.web })

  const { status } = await fetch(`${server.url}/`)

  expect([status, (await server.api('GET', '/api/sessions')).status]).toEqual([500, 200])
})

needs('chromium')(
  'a browser runs the page under its policy, which lets it reach this server alone',
  async ({ chromium }) => {
    using folder = sources()
    await using server = await startTestServer({}, { webFolder: folder.web })
    await using browser = await startBrowser(chromium)
    const tab = await browser.newPage()
    await tab.goto(`${server.url}/#token=${server.token}`)

    const tried = await tab.evaluate(
      async ({ url, token }) => {
        const blocked: string[] = []
        // The program itself is checked against a library without pages.
        const page = globalThis as unknown as {
          document: {
            getElementById(id: string): { textContent: string }
            createElement(tag: string): { textContent: string }
            body: { append(child: unknown): void; style: { color: string } }
            addEventListener(type: string, heard: (event: { effectiveDirective: string }) => void): void
          }
          inline?: boolean
        }
        page.document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) =>
          blocked.push(effectiveDirective),
        )
        const script = page.document.createElement('script')
        script.textContent = 'globalThis.inline = true'
        page.document.body.append(script)
        await fetch('http://127.0.0.1:1/').catch(() => undefined)
        page.document.body.style.color = 'red'
        const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, [
          'lightwire.v1.json',
          `bearer.${token}`,
        ])
        const first = await new Promise<string>((resolve) => {
          socket.onmessage = ({ data }) => resolve(String(data))
          socket.onerror = () => resolve('refused')
        })
        const read = await fetch('/api/sessions', { headers: { Authorization: `Bearer ${token}` } })
        return {
          text: page.document.getElementById('out').textContent.slice(0, 7),
          inline: page.inline,
          blocked,
          first,
          read: read.status,
        }
      },
      { url: server.url, token: server.token },
    )

    expect(tried).toMatchObject({ text: 'it runs', read: 200 })
    expect(tried.first).toContain('connection_established')
    expect(tried.inline).toBeUndefined()
    expect(tried.blocked).toEqual(['script-src-elem', 'connect-src'])
  },
)

test('a build that failed is made again when the page is asked for again', async () => {
  using folder = temporaryFolder()
  writeFileSync(
    join(folder.path, 'index.html'),
    '<!doctype html><script type="module" src="./main.ts"></script>',
  )
  writeFileSync(join(folder.path, 'main.ts'), 'document.title = ')
  const app = createWebApp(folder.path)

  const failed = await app.answer('/', new Headers()).catch(() => 'failed')
  writeFileSync(join(folder.path, 'main.ts'), 'document.title = "here"')
  const answer = await app.answer('/', new Headers())

  expect(failed).toBe('failed')
  expect(answer?.status).toBe(200)
})
