/** The lines of the Lua client's README, run as they stand there, but for the server's address and the token. */
import { expect } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { startTestServer } from '../support/server.ts'
import { luaFolder, startScript } from './lua-script.ts'

const readme = readFileSync(join(luaFolder, 'README.md'), 'utf8')
const lines = /```lua\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''

needs('lua')('the ten lines of the README show a shoot', async ({ lua }) => {
  await using server = await startTestServer()
  const source = lines.replace('http://127.0.0.1:5100', server.url).replace('TOKEN', server.token)

  await using script = startScript(lua, source)
  await script.until(({ told }) => told.includes('Shoot: Wedding'))

  const { body } = await server.api<{ sessions: { name: string }[] }>('GET', '/api/sessions')
  expect(lines.trim().split('\n')).toHaveLength(10)
  expect(body.sessions.map(({ name }) => name)).toEqual(['Wedding'])
})

needs('lua')('a server that refuses them is told of', async ({ lua }) => {
  await using server = await startTestServer()
  const token = await server.tokenFor('events:read:jobs')
  await using script = startScript(
    lua,
    lines.replace('http://127.0.0.1:5100', server.url).replace('TOKEN', token),
  )

  await script.until(({ told }) => told.length > 0)

  expect(script.told[0]).toStartWith('Lightwire the token does not grant')
})
