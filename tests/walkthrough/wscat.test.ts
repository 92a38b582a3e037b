/** The walk-through of the README with tools nobody here wrote: wscat listens, curl works. */
import { expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { projectRoot, startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { createCurl, startLines } from './outside.ts'

setDefaultTimeout(60_000)

const WSCAT = join(projectRoot, 'node_modules', 'wscat', 'bin', 'wscat')
const CHANNELS = ['jobs', 'photos', 'sessions', 'queue', 'approval', 'system', 'export']

interface Event {
  readonly type: string
  readonly channel: string
  readonly seq: number
  readonly timestamp: string
}

needs('node', 'curl')('wscat sees every change that curl makes, in order', async ({ node, curl }) => {
  using folder = temporaryFolder()
  await using parts = new AsyncDisposableStack()
  const server = await startProcess({ folder: folder.path, limited: true })
  parts.defer(async () => void (await server.kill()))
  const token = await tokenOf(folder.path)
  const socketUrl = `${server.url.replace('http', 'ws')}/ws`
  const wscat = parts.use(startLines([node, WSCAT, '-c', socketUrl, '-H', `Authorization: Bearer ${token}`]))
  const heard = async (type: string) =>
    messageOf(await wscat.line((line) => messageOf(line)?.['type'] === type))

  // Its first line says that the socket is open; from there on it sends what it reads.
  await heard('connection_established')
  wscat.say('{"type":"register","client_type":"gui","client_name":"wscat"}')
  wscat.say(JSON.stringify({ type: 'subscribe', channels: CHANNELS }))
  const registered = await heard('registration_confirmed')
  const subscribed = await heard('subscription_confirmed')
  const run = createCurl(curl, server.url, token)
  const names = await shoot(run)
  wscat.say('{"type":"ping"}')
  await heard('pong')

  expect(registered).toMatchObject({ client_type: 'gui', client_name: 'wscat' })
  expect(subscribed?.['channels']).toEqual(CHANNELS.toSorted())
  const events = wscat.lines.flatMap((line) =>
    messageOf(line)?.['seq'] === undefined ? [] : [messageOf(line) as unknown as Event],
  )
  const byChannel = Map.groupBy(events, ({ channel }) => channel)
  expect(
    Object.fromEntries([...byChannel].map(([channel, list]) => [channel, list.map(({ type }) => type)])),
  ).toEqual({
    sessions: ['session_created', 'session_updated', 'session_updated'],
    photos: ['photo_imported', 'photo_imported', 'photo_imported'],
    jobs: ['job_created', 'job_started', 'job_progress', 'job_completed'],
    queue: ['queue_status', 'queue_status', 'queue_status'],
    approval: ['approval_queue_updated'],
  })
  for (const list of byChannel.values())
    expect(list.map(({ seq }) => seq)).toEqual(list.map((_, index) => index + 1))
  const jobEvents: unknown = byChannel.get('jobs')
  expect(jobEvents).toEqual([
    { ...envelope('jobs', 'job_created', 1), ...names, priority: 2 },
    { ...envelope('jobs', 'job_started', 2), ...names, worker: 'shell', attempt: 1 },
    {
      ...envelope('jobs', 'job_progress', 3),
      ...names,
      stage: 'develop',
      progress: 42.5,
      message: 'half way',
    },
    { ...envelope('jobs', 'job_completed', 4), ...names, result: { output: 'a.tif' } },
  ])
})

/** Three photos, and a worker that develops the first; the ids that its events carry. */
async function shoot(run: ReturnType<typeof createCurl>) {
  const input = '{"name":"Wedding","import_folder":"/photos/wedding"}'
  const session = await run<{ id: number }>('POST', '/api/sessions', input)
  const files = ['a', 'b', 'c'].map((name) => ({ session_id: session.id, file_path: `/wedding/${name}.jpg` }))
  const { photos } = await run<{ photos: { id: number }[] }>('POST', '/api/photos', JSON.stringify(files))
  const photo_id = photos[0]?.id
  const created = await run<{ id: string }>('POST', '/api/jobs', JSON.stringify({ photo_id, priority: 2 }))
  const { job } = await run<{ job: { id: string } }>('POST', '/api/jobs/claim', '{"worker":"shell"}')
  const report = '{"stage":"develop","progress":42.5,"message":"half way"}'
  await run('POST', `/api/jobs/${job.id}/progress`, report)
  await run('POST', `/api/jobs/${job.id}/complete`, '{"result":{"output":"a.tif"}}')
  return { job_id: created.id, photo_id, session_id: session.id }
}

function envelope(channel: string, type: string, seq: number): Record<string, unknown> {
  return {
    type,
    channel,
    seq,
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
  }
}

/** The message on a line of wscat's, whose prompt `> ` may stand before it. */
function messageOf(line: string): Record<string, unknown> | undefined {
  const json = line.replace(/^(> )+/, '')
  return json.startsWith('{') ? (JSON.parse(json) as Record<string, unknown>) : undefined
}
