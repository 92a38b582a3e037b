/** A second, independent client: Python reads JSON and MessagePack, and finds the same in both. */
import { expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import { channels } from '../../lib/protocol/events.ts'
import { TestClient } from '../support/client.ts'
import { needs } from '../support/needs.ts'
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { createCurl, startLines, type LineProcess } from './outside.ts'

setDefaultTimeout(60_000)

const CLIENT = join(import.meta.dir, 'client.py')

/** What a framing could get wrong: widths of integers, floats, lengths of strings, other scripts, nesting. */
const analysis = {
  integers: [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1],
  negatives: [-1, -32, -33, -128, -129, -32_768, -32_769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1],
  floats: [0.1, -2.5, 1e-7, 1.7976931348623157e308, 5e-324],
  texts: [
    '',
    'Größe',
    '写真',
    '📷',
    'x'.repeat(31),
    'x'.repeat(32),
    'x'.repeat(256),
    'quote " back \\ line \n',
  ],
  nested: { deep: { deeper: [{ deepest: [[], {}, null, true, false] }] }, empty: {}, none: null },
  many: Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`key_${n}`, n])),
}

needs('python', 'curl')('Python reads the same from JSON and from MessagePack', async ({ python, curl }) => {
  using folder = temporaryFolder()
  await using parts = new AsyncDisposableStack()
  const server = await startProcess({ folder: folder.path, limited: true })
  parts.defer(async () => void (await server.kill()))
  const token = await tokenOf(folder.path)
  const url = `${server.url.replace('http', 'ws')}/ws`
  const start = (framing: string) =>
    parts.use(startLines([python, '-I', CLIENT, url, framing, ...channels], { LIGHTWIRE_TOKEN: token }))
  const clients = [start('json'), start('msgpack')] as const
  const own = parts.use(new TestClient({ url, token }))
  await own.opened
  await own.subscribe(channels)
  for (const client of clients) await heard(client, 'subscription_confirmed')

  const run = createCurl(curl, server.url, token)
  const session = await run<{ id: number }>(
    'POST',
    '/api/sessions',
    '{"name":"Fête 🎉","import_folder":"C:\\\\photos"}',
  )
  const photo = await run<{ id: number }>(
    'POST',
    '/api/photos',
    JSON.stringify({ session_id: session.id, file_path: '/ü.jpg' }),
  )
  const patch = { ai_score: 4.5, analysis_results: analysis }
  await run('PATCH', `/api/photos/${photo.id}`, JSON.stringify(patch))
  // A whole number of stars: written as 3.0 it is the integer 3 in every framing.
  await run('PATCH', `/api/photos/${photo.id}`, '{"ai_score":3.0}')
  const job = await run<{ id: string }>('POST', '/api/jobs', JSON.stringify({ photo_id: photo.id }))
  await run('POST', '/api/jobs/claim', '{"worker":"shell"}')
  await run('POST', `/api/jobs/${job.id}/progress`, '{"stage":"develop","progress":33.3}')
  await run(
    'POST',
    `/api/jobs/${job.id}/complete`,
    JSON.stringify({ result: { bytes: 5_000_000_000, list: [] } }),
  )
  for (const client of clients) {
    client.say('ping')
    await heard(client, 'pong')
  }
  await own.sync()

  const [json, msgpack] = clients.map(eventLines)
  // Compared as text: Python writes a float 3.0 and an integer 3, and keeps the order of keys.
  expect(msgpack).toEqual(json)
  expect(json?.map((line) => JSON.parse(line) as unknown)).toEqual(
    byChannel(own.events, ({ channel }) => channel),
  )
  expect(own.events).toHaveLength(14)
  const analyzed = own.events.filter(({ type }) => type === 'photo_analyzed')
  expect(analyzed.map((event) => [event['ai_score'], event['analysis_results']])).toEqual([
    [4.5, analysis],
    [3, analysis],
  ])
})

function heard(client: LineProcess, type: string): Promise<string> {
  return client.line((line) => typeOf(line) === type)
}

function typeOf(line: string): unknown {
  return (JSON.parse(line) as { type?: unknown }).type
}

/** Lines of journalled events, channel by channel: order is promised within a channel only. */
function eventLines({ lines }: LineProcess): string[] {
  return byChannel(
    lines.filter((line) => typeof seqOf(line) === 'number'),
    channelOf,
  )
}

function byChannel<T>(items: readonly T[], channel: (item: T) => unknown): T[] {
  return channels.flatMap((name) => items.filter((item) => channel(item) === name))
}

function seqOf(line: string): unknown {
  return (JSON.parse(line) as { seq?: unknown }).seq
}

function channelOf(line: string): unknown {
  return (JSON.parse(line) as { channel?: unknown }).channel
}
