/** What the scale benchmark asks: every route, and every list by each of its sorts and filters. */

export type Ask = (method: string, path: string, body?: object) => Promise<Record<string, unknown>>

interface Named {
  readonly name: string
  readonly run: (ask: Ask, round: number) => Promise<unknown>
}

const lists: Record<string, { sorts: readonly string[]; filters: readonly string[] }> = {
  sessions: {
    sorts: ['id', 'name', 'status', 'progress_percent', 'created_at', 'updated_at'],
    filters: ['status=processing', 'active_only=true'],
  },
  photos: {
    sorts: ['id', 'file_name', 'ai_score', 'imported_at', 'updated_at'],
    filters: [
      'session_id=1',
      'status=completed',
      'min_score=2',
      'min_score=4.9',
      'min_score=4.95',
      'min_score=4.96',
      'min_score=4.7',
      'min_score=3',
      'status=completed&min_score=4.9',
      'status=completed&min_score=4.6',
      'session_id=1&status=completed&min_score=3',
    ],
  },
  jobs: {
    sorts: ['created_at', 'completed_at', 'priority'],
    filters: ['status=pending', 'photo_id=7', 'priority=5', 'status=pending&priority=5'],
  },
  exports: { sorts: ['id'], filters: ['status=running', 'photo_id=7'] },
  'approval/queue': {
    sorts: ['id', 'file_name', 'ai_score', 'imported_at', 'updated_at'],
    filters: ['session_id=1', 'min_score=3', 'session_id=1&min_score=3'],
  },
}

const paths = [
  '/api/sessions/1',
  '/api/photos/500',
  `/api/jobs/${'1'.padStart(32, '0')}`,
  '/api/queue',
  '/api/system/health',
  '/api/system/ready',
  '/api/system/info',
  '/api/websocket/clients',
  '/api/websocket/channels',
  ...Object.entries(lists).flatMap(([list, { sorts, filters }]) => {
    const queries = ['', ...sorts.flatMap((sort) => [`sort=${sort}`, `sort=-${sort}`]), ...filters]
    const both = filters.flatMap((filter) => sorts.map((sort) => `${filter}&sort=-${sort}`))
    return [...queries, ...both, 'offset=900'].map((query) => `/api/${list}?${query}`)
  }),
]

export const readRoutes: readonly Named[] = paths.map((path) => ({
  name: `GET ${path}`,
  run: (ask) => ask('GET', path),
}))

type Time = <T>(name: string, run: () => Promise<T>) => Promise<T>

/** One small shoot through every route that writes. */
export async function writeRoutes(ask: Ask, time: Time, round: number): Promise<void> {
  const id = (row: Record<string, unknown>) => String(row['id'])
  const session = await time('POST /api/sessions', () =>
    ask('POST', '/api/sessions', { name: `scale ${round}`, import_folder: '/x' }),
  )
  const session_id = session['id']
  await time('PATCH /api/sessions/:id', () =>
    ask('PATCH', `/api/sessions/${id(session)}`, { status: 'processing' }),
  )
  const file = (name: string) => ({ session_id, file_path: `/scale/${round}/${name}` })
  const photo = await time('POST /api/photos', () => ask('POST', '/api/photos', file('one')))
  await time('POST /api/photos [1000]', () =>
    ask('POST', '/api/photos', Array.from({ length: 1000 }, (_, index) => file(String(index))) as never),
  )
  await time('PATCH /api/photos/:id analysis', () =>
    ask('PATCH', `/api/photos/${id(photo)}`, { ai_score: 4.5, analysis_results: { faces: 1 } }),
  )
  await time('PATCH /api/photos/:id selection', () =>
    ask('PATCH', `/api/photos/${id(photo)}`, { context_tag: 'a', selected_preset: 'b' }),
  )
  const create = () =>
    time('POST /api/jobs', () => ask('POST', '/api/jobs', { photo_id: photo['id'], priority: 1 }))
  const cancelled = await create()
  await time('PATCH /api/jobs/:id', () => ask('PATCH', `/api/jobs/${id(cancelled)}`, { priority: 9 }))
  await time('DELETE /api/jobs/:id', () => ask('DELETE', `/api/jobs/${id(cancelled)}`))
  const claim = async () => {
    const { job } = await time('POST /api/jobs/claim', () => ask('POST', '/api/jobs/claim', { worker: 'w' }))
    return job as Record<string, unknown>
  }
  await create()
  const failing = await claim()
  await time('POST /api/jobs/:id/progress', () =>
    ask('POST', `/api/jobs/${id(failing)}/progress`, { stage: 's', progress: 5 }),
  )
  await time('POST /api/jobs/:id/fail', () =>
    ask('POST', `/api/jobs/${id(failing)}/fail`, { error_message: 'no' }),
  )
  await create()
  const done = await claim()
  await time('POST /api/jobs/:id/complete', () =>
    ask('POST', `/api/jobs/${id(done)}/complete`, { result: {} }),
  )
  const queue = await ask('GET', '/api/approval/queue?limit=2')
  const [first, second] = queue['photos'] as Record<string, unknown>[]
  await time('POST /api/approval/:id/approve', () => ask('POST', `/api/approval/${id(first ?? {})}/approve`))
  await time('POST /api/approval/:id/reject', () => ask('POST', `/api/approval/${id(second ?? {})}/reject`))
  const target = { photo_id: photo['id'], preset_name: 'p', destination: '/d' }
  const started = () => time('POST /api/exports', () => ask('POST', '/api/exports', target))
  const [one, two] = [await started(), await started()]
  await time('POST /api/exports/:id/complete', () =>
    ask('POST', `/api/exports/${id(one)}/complete`, { output_path: '/o', file_size: 1 }),
  )
  await time('POST /api/exports/:id/fail', () =>
    ask('POST', `/api/exports/${id(two)}/fail`, { error_message: 'e' }),
  )
  await time('POST /api/system/status', () => ask('POST', '/api/system/status', { status: 'running' }))
  await time('POST /api/system/errors', () =>
    ask('POST', '/api/system/errors', { error_type: 'x', error_message: 'y' }),
  )
  await time('POST /api/events', () =>
    ask('POST', '/api/events', { type: 'job_cancelled', job_id: 'elsewhere' }),
  )
  await time('POST /api/websocket/broadcast', () =>
    ask('POST', '/api/websocket/broadcast', { message: { type: 'hello' } }),
  )
  await time('POST /api/tokens', () =>
    ask('POST', '/api/tokens', { subject: 's', scope: '', expires_in: 60 }),
  )
  await time('POST /api/tokens/revoke', () => ask('POST', '/api/tokens/revoke', { jti: 'none' }))
  await time('DELETE /api/sessions/:id', () => ask('DELETE', `/api/sessions/${id(session)}`))
}
