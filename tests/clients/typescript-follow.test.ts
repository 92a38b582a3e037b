/** What the TypeScript client keeps for those who share it, and from one life to the next, against a real server. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { LightwireError, memoryStorage, type LightwireEvent } from '../../clients/typescript/src/client.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'
import { codeOf, say, statuses, watch } from './watched.ts'

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

const photo = (server: TestServer, session_id: number, file_name: string) =>
  server.api('POST', '/api/events', {
    type: 'photo_imported',
    photo_id: 1,
    session_id,
    file_name,
    file_path: `/${file_name}`,
  })
const names = (events: readonly LightwireEvent[]) =>
  events.flatMap((event) => (event.type === 'photo_imported' ? event.file_name : []))

test.each(['before', 'while'])(
  'a state is followed whole where its channel came to be held for a part %s it was read',
  async (when) => {
    await using server = await startTestServer()
    await using watched = watch(server)
    const { client } = watched
    const hold = () => client.hold(['photos'], { where: { session_id: 1 } }).ready
    await client.subscribe(['system'])
    if (when === 'before') await hold()
    let reads = 0
    const followed: LightwireEvent[] = []
    const { ready } = client.snapshotThenFollow(
      async (read) => {
        if (when === 'while' && reads === 0) await hold()
        const state = await read('/api/photos')
        reads += 1
        if (reads > 1 && when === 'before') return state
        await photo(server, 2, 'of another')
        await photo(server, 1, 'of the part')
        await watched.until(() => names(watched.events).includes('of the part'))
        return state
      },
      ['photos'],
      { onSnapshot: () => followed.splice(0), onEvent: (event) => followed.push(event) },
    )
    await ready
    await photo(server, 2, 'last')
    await watched.until(() => names(watched.events).includes('last'))

    const all = ['of another', 'of the part', 'last']
    // Read a second time, the state has what came before.
    expect(names(followed)).toEqual(when === 'before' ? all : all.concat(all).slice(3))
  },
)

test('a subscription by name, and its end, leave what others hold of the channel', async () => {
  await using server = await startTestServer()
  await using watched = watch(server)
  const { client } = watched
  const followed: LightwireEvent[] = []
  const { ready, stop } = client.snapshotThenFollow('/api/photos', ['photos'], {
    onSnapshot: () => undefined,
    onEvent: (event) => followed.push(event),
  })
  await ready
  await client.subscribe(['photos', 'system'], { where: { session_id: 1 } })
  await photo(server, 2, 'while')
  await watched.until(() => followed.length === 1)
  const left = await client.unsubscribe(['photos', 'system'])
  await photo(server, 2, 'after')
  await watched.until(() => followed.length === 2)
  stop()
  await new Promise((resolve) => setTimeout(resolve, 1))

  expect([left, client.channels, names(followed)]).toEqual([['photos'], [], ['while', 'after']])
})

test('a refused hold and a refused state are told, once each, and who holds the same waits for the same', async () => {
  await using server = await startTestServer()
  const token = await server.tokenFor('events:read:jobs api:read')
  await using watched = watch(server, { getToken: () => token })
  const { client, errors } = watched
  await client.subscribe(['jobs'])
  const both = [client.hold(['photos']), client.hold(['photos'])]
  const outcomes = await Promise.all(both.map(({ ready }) => codeOf(ready)))
  const how = { onSnapshot: () => undefined, onEvent: () => undefined }
  client.snapshotThenFollow('/api/photos/999', ['jobs'], how)
  client.snapshotThenFollow('/api/photos', ['photos'], how)
  await watched.until(() => errors.length === 4)

  const codes = errors.map((error) => (error instanceof LightwireError ? error.code : error))
  expect([outcomes, codes.slice(0, 2), codes.slice(2).toSorted()]).toEqual([
    ['forbidden', 'forbidden'],
    ['forbidden', 'forbidden'],
    ['forbidden', 'not_found'],
  ])
})

test('a channel named twice is one, again and again, and no channels are done at once', async () => {
  await using server = await startTestServer()
  await using watched = watch(server)
  const { client } = watched
  const none = await client.subscribe([])
  const twice = async () => (await client.subscribe(['jobs', 'jobs'])).channels
  const seen = [await twice(), await twice(), await client.unsubscribe([])]
  await client.hold(['system', 'system']).ready

  expect(none).toEqual({ channels: [], cursor: '', recovery: {} })
  expect([seen, client.channels]).toEqual([
    [['jobs'], ['jobs'], ['jobs']],
    ['jobs', 'system'],
  ])
  expect(watched.errors).toEqual([])
})

test('closed while it shakes hands over HTTP, it leaves no session behind', async () => {
  await using server = await startTestServer()
  const count = async () => (await server.api<{ count: number }>('GET', '/api/websocket/clients')).body.count
  const ended: string[] = []
  for (const closing of ['/ws/handshake', '/ws/poll']) {
    await new Promise<void>((resolve) => {
      const { client } = watch(server, {
        transport: 'sse',
        async fetch(url, init) {
          const { pathname } = new URL(url)
          const response = await fetch(url, init)
          if (pathname === closing) client.close()
          if (pathname === '/ws/disconnect') {
            ended.push(closing)
            resolve()
          }
          return response
        },
      })
    })
  }

  expect([ended, await count()]).toEqual([['/ws/handshake', '/ws/poll'], 0])
})

test('a filter for channels together holds also where they have to be asked for apart', async () => {
  using folder = temporaryFolder()
  const storage = memoryStorage()
  const start = () => startTestServer({ DATA_DIR: folder.path })
  for (const channels of [['system', 'photos'], ['system']] as const) {
    await using server = await start()
    await using watched = watch(server, { storage })
    await watched.client.subscribe(channels)
  }
  await using server = await start()
  await using watched = watch(server, { storage })
  const { client, events, errors } = watched
  // No event of `system` has a session.
  await client.subscribe(['system', 'photos'], { where: { session_id: 1 } })
  await say(server, 'of none')
  await photo(server, 2, 'of another')
  await photo(server, 1, 'wanted')
  await watched.until(() => events.length > 0)

  expect([names(events), events.length, errors]).toEqual([['wanted'], 1, []])
  expect(client.channels).toEqual(['photos', 'system'])
})
