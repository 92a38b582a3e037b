/** The documentation that the server itself serves: complete, and nothing of it from another host. */
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { eventTypes } from '../../lib/protocol/events.ts'
import { protocolTypes } from '../../lib/protocol/server-messages.ts'
import { projectRoot } from '../support/process.ts'
import { startTestServer } from '../support/server.ts'

test('/docs needs no token, no script and no other host, and names every operation and event', async () => {
  await using server = await startTestServer()

  const answer = await fetch(`${server.url}/docs`)
  const page = await answer.text()

  const loaded = [...page.matchAll(/(?:src|href|action|srcset)\s*=\s*"([^"]*)"/g)].map(([, to = '']) => to)
  const stylesheet = await (await fetch(`${server.url}/docs/style.css`)).text()
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(loaded.length).toBeGreaterThan(100)
  expect(loaded.filter((to) => !to.startsWith('#') && !to.startsWith('/'))).toEqual([])
  expect(/<script|<iframe|\son\w+=|style=/i.test(page)).toBe(false)
  expect(/@import|url\(/.test(stylesheet)).toBe(false)
  const text = page.replaceAll('<wbr />', '')
  const named = [...declaredRoutes().map(({ path }) => path), ...eventTypes, ...protocolTypes]
  expect(named.filter((name) => !text.includes(name))).toEqual([])
})

test.each(['openapi', 'asyncapi'])('%s is served as YAML and JSON, equal to the file', async (name) => {
  await using server = await startTestServer()
  const read = async (path: string) => await (await fetch(`${server.url}/${path}`)).text()

  const file: unknown = Bun.YAML.parse(readFileSync(join(projectRoot, `${name}.yaml`), 'utf8'))

  expect(Bun.YAML.parse(await read(`${name}.yaml`))).toEqual(file)
  expect(JSON.parse(await read(`${name}.json`))).toEqual(file)
})
