/** A worker in Lua that can only GET and POST, over a polling session and a restart of the server. */
import { expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import { createApi } from '../support/api.ts'
import { needs } from '../support/needs.ts'
import { startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { startLines, type LineProcess } from './outside.ts'
import { startSteady } from './steady.ts'

setDefaultTimeout(60_000)

const CLIENT = join(import.meta.dir, 'client.lua')

type Said = Readonly<Record<string, unknown>>
type Word = 'heard' | 'answer' | 'asked'

needs('lua')(
  'Lua does its jobs by polling, and goes on by itself when the server restarts',
  async ({ lua }) => {
    using folder = temporaryFolder()
    await using parts = new AsyncDisposableStack()
    const start = () =>
      startProcess({
        folder: folder.path,
        env: { LOCAL_SCOPE: 'events:read:jobs events:read:sessions events:publish:jobs api:write' },
      })
    let server = await start()
    parts.defer(async () => void (await server.kill()))
    const steady = parts.use(await startSteady(() => server.url))
    const api = createApi(() => server.url, await tokenOf(folder.path))
    const client = parts.use(startLines([lua, CLIENT, steady.url]))
    await said(client, 'answer', { type: 'subscription_confirmed', id: 'sessions' })

    const session = await api<{ id: number }>('POST', '/api/sessions', {
      name: 'Wedding',
      import_folder: '/w',
    })
    const addJob = async (file_path: string, priority: number) => {
      const photo = { session_id: session.body.id, file_path }
      const { body } = await api<{ id: number }>('POST', '/api/photos', photo)
      // As Lua would write it.
      const job = await api<{ id: string }>('POST', '/api/jobs', { photo_id: body.id, config: [], priority })
      expect(job.status).toBe(201)
      return job.body.id
    }
    const jobs = [
      await addJob('/w/1.dng', 5),
      await addJob('/w/2.dng', 9),
      await addJob('/w/3.dng', 5),
    ] as const
    await said(client, 'heard', { type: 'job_progress', job_id: jobs[2], progress: 40 })
    await server.kill()
    server = await start()
    await said(client, 'answer', {
      type: 'subscription_confirmed',
      id: 'jobs',
      recovery: { jobs: { status: 'recovered' } },
    })
    await api('POST', '/api/events', { type: 'job_progress', job_id: 'elsewhere', stage: 's', progress: 1 })
    await said(client, 'heard', { type: 'job_progress', job_id: 'elsewhere' })
    await said(client, 'heard', { type: 'job_completed', job_id: jobs[2] })
    await api('PATCH', `/api/sessions/${session.body.id}`, { status: 'completed' })
    await said(client, 'asked', { message: 'the session has ended' })

    const greetings = heardOf(client).filter(({ type }) => type === 'connection_established')
    const { body: journal } = await api<{ events: Said[] }>('GET', '/api/events?channels=jobs&limit=1000')
    const rows = await Promise.all(jobs.map((id) => api('GET', `/api/jobs/${id}`)))
    const { body: present } = await api<{ count: number }>('GET', '/api/websocket/clients')
    // It shook hands once; the second session began with a poll of the first one's id.
    expect(saidBy(client, 'asked')).toMatchObject([
      { success: true, client_id: greetings[0]?.['client_id'] },
      {},
    ])
    expect(greetings).toHaveLength(2)
    expect(greetings[1]?.['client_id']).not.toBe(greetings[0]?.['client_id'])
    // Its own events and others', each once, over both sessions.
    expect(heardOf(client).filter(({ channel }) => channel === 'jobs')).toEqual(journal.events)
    expect(rows.map(({ body }) => body as object)).toMatchObject([
      {
        status: 'completed',
        worker: 'lua',
        attempts: 1,
        stage: 'write',
        progress: 100,
        config: {},
        result: {},
      },
      {
        status: 'failed',
        worker: 'lua',
        attempts: 1,
        stage: 'demosaic',
        error_message: 'too hard',
        error_details: {},
      },
      { status: 'completed', worker: 'lua', attempts: 1, progress: 100, result: {} },
    ])
    expect(present.count).toBe(0)
  },
)

const heardOf = (client: LineProcess) => saidBy(client, 'heard')

function saidBy({ lines }: LineProcess, word: Word): Said[] {
  return lines.map((line) => parse(line, word)).filter((value) => value !== undefined)
}

function parse(line: string, word: Word): Said | undefined {
  return line.startsWith(`${word} `) ? (JSON.parse(line.slice(word.length)) as Said) : undefined
}

/** Resolves with the first line of this word that has these fields. */
function said(client: LineProcess, word: Word, fields: object): Promise<string> {
  return client.line((line) => {
    const value = parse(line, word)
    return value !== undefined && Bun.deepMatch(fields, value)
  })
}
