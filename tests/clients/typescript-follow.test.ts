/** What the TypeScript client keeps for those who share it, and from one life to the next, against a real server. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { memoryStorage } from '../../clients/typescript/src/client.ts'
import { startTestServer, temporaryFolder } from '../support/server.ts'
import { say, statuses, watch } from './watched.ts'

setDefaultTimeout(30_000)

test('a stored channel that a life does not follow stays where it was, and the others go on, each event once', async () => {
  using folder = temporaryFolder()
  const storage = memoryStorage()
  const start = () => startTestServer({ DATA_DIR: folder.path })
  type Server = Awaited<ReturnType<typeof start>>
  const live = async (server: Server, channels: readonly ('system' | 'sessions')[], count: number) => {
    await using watched = watch(server, { storage })
    const { cursor } = await watched.client.subscribe(channels)
    await watched.until(() => watched.events.length >= count)
    return { cursor, now: watched.client.cursor, seen: statuses(watched.events) }
  }
  {
    await using server = await start()
    await live(server, ['system', 'sessions'], 0)
  }
  await using server = await start()
  await server.api('POST', '/api/sessions', { name: 'a', import_folder: '/a' })
  await say(server, 'a')
  const first = await live(server, ['system'], 1)
  await say(server, 'b')
  const second = await live(server, ['system'], 1)
  const third = await live(server, ['sessions'], 1)

  expect([first.seen, second.seen, third.seen]).toEqual([['a'], ['b'], ['session_created']])
  expect(first.cursor).toMatch(/^[a-z0-9]+:system=0$/)
  expect(first.now).toMatch(/^[a-z0-9]+:system=1$/)
})
