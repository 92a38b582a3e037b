/** A page that is loaded when retention has taken a part of what it would show. */
import { expect, spyOn, test } from 'bun:test'
import { ApiError } from '../../clients/web/src/api.ts'
import { load } from '../../clients/web/src/model/load.ts'
import { rightsOf } from '../../clients/web/src/rights.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { eventually } from './studio.ts'

// The page says in its console what it does without.
spyOn(console, 'warn').mockImplementation(() => undefined)

type Get = Parameters<typeof load>[0]['get']

/** Reads as the page does, of a server in this process. */
function getOf({ api }: TestServer): Get {
  return async <T>(path: string) => {
    const { status, body, cursor } = await api<T & { code: string }>('GET', path)
    if (status !== 200) throw new ApiError(body.code, '', status)
    return { value: body as T, cursor: cursor ?? '' }
  }
}

const loadOf = ({ token }: TestServer, get: Get) =>
  load({ get, head: () => Promise.reject(new Error('not asked')) }, rightsOf(token))

/** Resolves when retention has taken the first events of the channel system. */
async function trimmed({ api }: TestServer): Promise<void> {
  const { cursor } = await api('GET', '/api/queue')
  const since = `${cursor?.split(':')[0]}:system=0`
  await eventually(async () => (await api('GET', `/api/events?channels=system&since=${since}`)).status, 410)
}

const statuses = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ type: 'system_status', status: `status ${index}` }))

test('a page loads when retention took a part of its history, and shows what is left', async () => {
  await using server = await startTestServer({ RETENTION_EVENTS: 20 })
  await server.api('POST', '/api/sessions', { name: 'harbour', import_folder: '/harbour' })
  await server.api('POST', '/api/events', statuses(50))
  await trimmed(server)

  const { value } = await loadOf(server, getOf(server))
  const kept = await server.api<{ events: { seq: number }[] }>('GET', '/api/events?channels=system')
  const shown = value.history.value.filter(({ channel }) => channel === 'system')
  expect(shown.map(({ seq }) => seq)).toEqual(kept.body.events.map(({ seq }) => seq))
  expect(shown.length).toBeGreaterThan(0)
  expect(value.history.value.some(({ type }) => type === 'session_created')).toBe(true)
})

test('errors that the journal still has are shown, however little of it is left', async () => {
  await using server = await startTestServer({ RETENTION_EVENTS: 200 })
  for (let round = 0; round < 6; round += 1) await server.api('POST', '/api/events', statuses(100))
  await trimmed(server)
  await server.api('POST', '/api/system/errors', { error_type: 'disk', error_message: 'full' })
  await server.api('POST', '/api/events', statuses(10))

  const { value } = await loadOf(server, getOf(server))
  expect(value.alerts.value.map(({ type }) => type)).toEqual(['error_occurred'])
})

test('whatever becomes of the history, the page loads', async () => {
  await using server = await startTestServer()
  await server.api('POST', '/api/sessions', { name: 'harbour', import_folder: '/harbour' })
  const get = getOf(server)
  for (const status of [400, 403, 410, 500]) {
    const broken: Get = (path) =>
      path.startsWith('/api/events?') ? Promise.reject(new ApiError(`http_${status}`, '', status)) : get(path)

    const { value, cursor } = await loadOf(server, broken)
    expect(value.sessions?.value.map(({ name }) => name)).toEqual(['harbour'])
    expect([value.history.value, value.alerts.value]).toEqual([[], []])
    // Nothing that comes later is taken for old, and nothing that is shown comes again.
    expect(value.history.places.get('sessions')).toBe(1)
    expect(cursor).toContain('sessions=1')
  }
})

test('a history that has no answer at first is read again', async () => {
  await using server = await startTestServer()
  await server.api('POST', '/api/sessions', { name: 'harbour', import_folder: '/harbour' })
  const get = getOf(server)
  let refused = 0
  const busy: Get = (path) => {
    if (!path.startsWith('/api/events?') || refused >= 2) return get(path)
    refused += 1
    return Promise.reject(new ApiError('draining', '', 503, undefined, 10))
  }

  const { value } = await loadOf(server, busy)
  expect(value.history.value.map(({ type }) => type)).toEqual(['session_created'])
})
