/** Lua writers of JSON give an empty table as `[]`: where an object is meant, that is the empty one. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { startTestServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

async function completedPhoto({ api }: TestServer, file_path: string): Promise<number> {
  const { body: photo } = await api<{ id: number }>('POST', '/api/photos', { file_path })
  const { body: job } = await api<{ id: string }>('POST', '/api/jobs', { photo_id: photo.id, config: [] })
  await api('POST', '/api/jobs/claim', { worker: 'lua' })
  await api('POST', `/api/jobs/${job.id}/complete`, { result: [] })
  return photo.id
}

test('a field that is an object takes an empty list for an empty one', async () => {
  await using server = await startTestServer()
  const { api } = server
  const photo_id = await completedPhoto(server, '/1.jpg')
  const analyzed = await api('PATCH', `/api/photos/${photo_id}`, { analysis_results: [] })
  const { body: job } = await api<{ id: string }>('POST', '/api/jobs', { photo_id })
  await api('POST', '/api/jobs/claim', { worker: 'lua' })
  const failed = await api('POST', `/api/jobs/${job.id}/fail`, { error_message: 'x', error_details: [] })
  await api('POST', '/api/system/status', { status: 'paused', details: [] })
  await api('POST', '/api/system/errors', { error_type: 't', error_message: 'm', error_details: [] })

  const { body } = await api<{ events: Record<string, unknown>[] }>(
    'GET',
    '/api/events?channels=jobs,photos,system',
  )
  const objects = body.events.flatMap(({ type, result, error_details, details, analysis_results }) => {
    const object = result ?? error_details ?? details ?? analysis_results
    return object === undefined ? [] : [[type, object]]
  })

  expect(analyzed.body as object).toMatchObject({ analysis_results: {} })
  expect(failed.body as object).toMatchObject({ config: {}, error_details: {} })
  expect(objects).toEqual([
    ['job_completed', {}],
    ['photo_analyzed', {}],
    ['job_failed', {}],
    ['system_status', {}],
    ['error_occurred', {}],
  ])
})

test('a body whose fields may all be left out may be an empty list', async () => {
  await using server = await startTestServer()
  const { api } = server
  const [first, second] = [await completedPhoto(server, '/1.jpg'), await completedPhoto(server, '/2.jpg')]

  const answers = [
    await api('POST', `/api/approval/${first}/approve`, []),
    await api('POST', `/api/approval/${second}/reject`, []),
  ]

  expect(answers.map(({ status }) => status)).toEqual([200, 200])
})

test('an empty list stays one where a list is meant, and is no object where fields are missing', async () => {
  await using server = await startTestServer()
  const { api } = server

  const answers = [
    await api('POST', '/api/photos', []),
    await api('POST', '/api/events', []),
    await api('POST', '/api/sessions', []),
    await api('GET', '/api/events?where=[]'),
    await api('GET', '/api/events?where={}'),
  ]

  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 400, 400])
  expect(answers[3]?.body['detail']).toBe(answers[4]?.body['detail'])
})
