/** What every answer carries for browsers, and that no address takes a token in its query. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { startTestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const addresses = declaredRoutes().map(({ method, path }) => ({
  method: method.toUpperCase(),
  path: path.replace(/\{\w+\}/, '1'),
}))
const more = [
  '/docs',
  '/docs/style.css',
  '/openapi.yaml',
  '/asyncapi.json',
  '/metrics',
  '/ws',
  '/',
  '/api/x',
].map((path) => ({ method: 'GET', path }))

test('every answer says how browsers may treat it: not kept, guessed at, framed or embedded', async () => {
  await using server = await startTestServer()
  const wrong: string[] = []

  for (const { method, path } of [...addresses, ...more]) {
    for (const headers of [{ Authorization: `Bearer ${server.token}` }, { Host: 'evil.example' }]) {
      const response = await fetch(`${server.url}${path}`, { method, headers })
      const { status } = response
      await response.body?.cancel()
      const header = (name: string) => response.headers.get(name)
      if (
        header('x-content-type-options') !== 'nosniff' ||
        // The page is asked for anew each time, and says whether it has changed.
        header('cache-control') !== (path === '/' && status === 200 ? 'no-cache' : 'no-store') ||
        header('referrer-policy') !== 'no-referrer' ||
        header('cross-origin-resource-policy') !== 'same-origin' ||
        !/default-src 'none'.*frame-ancestors 'none'/.test(header('content-security-policy') ?? '')
      )
        wrong.push(`${method} ${path}: ${status}`)
    }
  }

  expect(wrong).toEqual([])
})

test.each(['token', 'access_token', 'authorization', 'bearer'])(
  'no address takes a token in its query as ?%s',
  async (name) => {
    await using server = await startTestServer({ METRICS_TOKEN: 'a-token-for-metrics' })
    const wrong: string[] = []
    const open = [
      '/',
      '/api/system/health',
      '/api/system/ready',
      '/docs',
      '/docs/style.css',
      '/openapi.yaml',
      '/asyncapi.json',
    ]

    for (const { method, path } of [...addresses, ...more]) {
      if (open.includes(path)) continue
      const { status } = await fetch(`${server.url}${path}?${name}=${server.token}`, { method })
      if (status < 400) wrong.push(`${method} ${path}: ${status}`)
    }
    const metrics = await fetch(`${server.url}/metrics?${name}=a-token-for-metrics`)
    const named = await fetch(`${server.url}/api/sessions?${name}=x`, {
      headers: { Authorization: `Bearer ${server.token}` },
    })

    expect(wrong).toEqual([])
    expect([metrics.status, named.status]).toEqual([403, 400])
  },
)
