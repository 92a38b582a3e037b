/** Acts upon finished photos: a person approves or rejects them, an outside program exports them. */
import type { Expected } from './record.ts'
import { withAny, type Act, type Work, type WriterState } from './work.ts'

interface Export {
  readonly id: number
  readonly photo_id: number
  readonly session_id: number | null
  readonly preset_name: string
}

export function approvalActs(work: Work): Act[] {
  const { random, state } = work
  return [
    { weight: 5, run: () => withNext(work, approve) },
    { weight: 2, run: () => withNext(work, reject) },
    {
      weight: 3,
      run: withAny(
        random,
        () => state.photos,
        ({ id }) => startExport(work, id),
      ),
    },
    {
      weight: 3,
      run: withAny(
        random,
        () => state.exports,
        (running) => completeExport(work, running),
      ),
    },
    {
      weight: 2,
      run: withAny(
        random,
        () => state.exports,
        (running) => failExport(work, running),
      ),
    },
  ]
}

function withNext(work: Work, act: (work: Work, photo: number) => Promise<void>): Promise<void> | undefined {
  const photo = work.state.awaiting.shift()
  return photo === undefined ? undefined : act(work, photo)
}

/** With an export at once, or not, or without any body. */
async function approve(work: Work, photo: number): Promise<void> {
  const target = work.random.chance(0.4) ? drawTarget(work) : undefined
  const body = target ? { auto_export: target } : work.random.pick([{}, { auto_export: null }])
  const started: Expected[] = target ? [{ type: 'export_started', photo_id: photo, ...target }] : []
  const approved = await work.calls.write<{ export?: Export }>('POST /api/approval/{photo_id}/approve', {
    what: `approval of photo ${photo}`,
    params: { photo_id: photo },
    ...(target || work.random.chance(0.5) ? { body } : {}),
    events: [{ type: 'photo_approved', photo_id: photo }, ...started],
  })
  if (approved?.export) remember(work, approved.export)
}

async function reject({ calls, random, serial }: Work, photo: number): Promise<void> {
  const reason = random.chance(0.8) ? `blurred ${serial()}` : ''
  await calls.write('POST /api/approval/{photo_id}/reject', {
    what: `rejection of photo ${photo}`,
    params: { photo_id: photo },
    ...(reason === '' ? {} : { body: { reason } }),
    events: [{ type: 'photo_rejected', photo_id: photo, reason }],
  })
}

async function startExport(work: Work, photo: number): Promise<void> {
  const target = drawTarget(work)
  const started = await work.calls.write<Export>('POST /api/exports', {
    what: `export of photo ${photo}`,
    body: { photo_id: photo, ...target },
    events: [{ type: 'export_started', photo_id: photo, ...target }],
    learned: ({ session_id }) => [{ type: 'export_started', photo_id: photo, session_id, ...target }],
  })
  if (started) remember(work, started)
}

async function completeExport(
  { calls, random, state, serial }: Work,
  running: WriterState['exports'][number],
) {
  const { id, photo, preset } = running
  state.exports = state.exports.filter((other) => other !== running)
  const result = { output_path: `/exported/${serial()}.tif`, file_size: random.int(0, 6_000_000_000) }
  await calls.write('POST /api/exports/{id}/complete', {
    what: `completion of export ${id}`,
    params: { id },
    body: result,
    events: [{ type: 'export_completed', photo_id: photo, preset_name: preset, ...result }],
  })
}

async function failExport({ calls, state, serial }: Work, running: WriterState['exports'][number]) {
  const { id, photo, preset } = running
  state.exports = state.exports.filter((other) => other !== running)
  const error_message = `no space ${serial()}`
  await calls.write('POST /api/exports/{id}/fail', {
    what: `failure of export ${id}`,
    params: { id },
    body: { error_message },
    events: [{ type: 'export_failed', photo_id: photo, preset_name: preset, error_message }],
  })
}

function remember({ state }: Work, { id, photo_id, preset_name }: Export): void {
  state.exports.push({ id, photo: photo_id, preset: preset_name })
}

/** Few presets, so that one photo is exported twice with the same; the destination tells them apart. */
function drawTarget({ random, serial }: Work) {
  return { preset_name: random.pick(['Print', 'Web']), destination: `/out/${serial()}` }
}
