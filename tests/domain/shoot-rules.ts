/** What API.md says of sessions, photos, the approval queue and exports. */
import type { Draft } from '../../lib/protocol/events.ts'
import {
  conflict,
  missing,
  percent,
  type ExportRow,
  type Model,
  type PhotoPatch,
  type Prediction,
  type SessionPatch,
  type Target,
} from './model.ts'

export function createSession(
  model: Model,
  input: { readonly name: string; readonly import_folder: string },
): Prediction {
  if (model.isTaken(input.name)) return conflict
  return {
    status: 201,
    facts: (answer) => {
      const session_id = Number(answer['id'])
      model.settings.set(session_id, { name: input.name, status: 'importing', total: null, processed: null })
      const { name: session_name, import_folder } = input
      return [{ type: 'session_created', data: { session_id, session_name, import_folder } }]
    },
  }
}

export function patchSession(model: Model, id: number, patch: SessionPatch): Prediction {
  const own = model.settings.get(id)
  if (!own) return missing
  if (patch.name !== undefined && patch.name !== own.name && model.isTaken(patch.name)) return conflict
  return {
    status: 200,
    facts: () => {
      const completes = patch.status === 'completed' && own.status !== 'completed'
      if (patch.name !== undefined) own.name = patch.name
      if (patch.status !== undefined) own.status = patch.status
      if (patch.total_photos !== undefined) own.total = patch.total_photos
      if (patch.processed_photos !== undefined) own.processed = patch.processed_photos
      if (!completes) return []
      const { total_photos } = model.totals(id, own)
      const approved_photos = model.state.photosOf(id).filter(({ status }) => status === 'approved').length
      const approval_rate = percent(approved_photos, total_photos)
      const about = { session_id: id, session_name: own.name }
      return [{ type: 'session_completed', data: { ...about, total_photos, approved_photos, approval_rate } }]
    },
  }
}

/** The same as an event: one that changes nothing repeats what holds already. */
export function changeSession(model: Model, id: number, name: string, status: string): Prediction {
  const own = model.settings.get(id)
  if (own?.name === name && own.status === status) return conflict
  return patchSession(model, id, { name, status })
}

export function deleteSession(model: Model, id: number): Prediction {
  const own = model.settings.get(id)
  if (!own) return missing
  const busy = [...model.state.jobs.values()].some(
    ({ session_id, status }) => session_id === id && status === 'processing',
  )
  if (busy) return conflict
  return {
    status: 200,
    facts: () => {
      model.settings.delete(id)
      model.exports = model.exports.filter(({ session_id }) => session_id !== id)
      return [{ type: 'session_deleted', data: { session_id: id, session_name: own.name } }]
    },
  }
}

export function importPhotos(
  model: Model,
  inputs: readonly { session_id: number | null; file_path: string; file_size: number }[],
): Prediction {
  if (inputs.some(({ session_id }) => session_id !== null && !model.settings.has(session_id))) return missing
  const paths = [...model.state.photos.values(), ...inputs].map(({ file_path }) => file_path)
  if (new Set(paths).size < paths.length) return conflict
  return {
    status: 201,
    facts: (answer) => {
      const rows = (answer['photos'] ?? [answer]) as readonly { readonly id: number }[]
      return inputs.map(({ session_id, file_path, file_size }, index) => {
        const photo_id = Number(rows[index]?.id)
        model.columns.set(photo_id, { file_size, imported_at: model.now() })
        const file_name = file_path.slice(file_path.lastIndexOf('/') + 1)
        return { type: 'photo_imported', data: { photo_id, session_id, file_name, file_path } }
      })
    },
  }
}

export function patchPhoto(model: Model, id: number, patch: PhotoPatch): Prediction {
  const photo = model.state.photos.get(id)
  if (!photo) return missing
  const { session_id } = photo
  const facts: Draft[] = []
  const { ai_score = photo.ai_score, analysis_results = photo.analysis_results } = patch
  const analyzed = patch.ai_score !== undefined || patch.analysis_results !== undefined
  if (analyzed) {
    const results = { ai_score, analysis_results: { ...analysis_results } }
    facts.push({ type: 'photo_analyzed', data: { photo_id: id, session_id, ...results } })
  }
  const { context_tag, selected_preset } = patch
  if (context_tag !== undefined && selected_preset !== undefined) {
    if (photo.status === 'imported' && !analyzed) return conflict
    facts.push({ type: 'photo_selected', data: { photo_id: id, session_id, context_tag, selected_preset } })
  }
  return { status: 200, facts: () => facts }
}

export function approve(model: Model, id: number, target: Target | undefined): Prediction {
  return decide(model, id, (about) => {
    const approved: Draft = { type: 'photo_approved', data: about }
    return target ? [approved, starts(model, about, target)] : [approved]
  })
}

export function reject(model: Model, id: number, reason: string): Prediction {
  return decide(model, id, (about) => [{ type: 'photo_rejected', data: { ...about, reason } }])
}

export function startExport(model: Model, photoId: number, target: Target): Prediction {
  const photo = model.state.photos.get(photoId)
  if (!photo) return missing
  const about = { photo_id: photoId, session_id: photo.session_id }
  return { status: 201, facts: () => [starts(model, about, target)] }
}

export function endExport(
  row: ExportRow | undefined,
  end: { output_path: string; file_size: number } | { error_message: string },
): Prediction {
  if (!row) return missing
  if (row.status !== 'running') return conflict
  const { photo_id, session_id, preset_name } = row
  const about = { photo_id, session_id, preset_name }
  const failed = 'error_message' in end
  return {
    status: 200,
    facts: () => [
      failed
        ? { type: 'export_failed', data: { ...about, ...end } }
        : { type: 'export_completed', data: { ...about, ...end } },
    ],
    keep: () => void Object.assign(row, end, { status: failed ? 'failed' : 'completed' }),
  }
}

function decide(
  model: Model,
  id: number,
  facts: (about: { photo_id: number; session_id: number | null }) => Draft[],
): Prediction {
  const photo = model.state.photos.get(id)
  if (!photo) return missing
  if (photo.status !== 'completed') return conflict
  return { status: 200, facts: () => facts({ photo_id: id, session_id: photo.session_id }) }
}

function starts(model: Model, about: { photo_id: number; session_id: number | null }, target: Target): Draft {
  const end = { output_path: '', file_size: null, error_message: '' }
  model.exports.push({ id: 0, ...about, ...target, ...end, status: 'running' })
  return { type: 'export_started', data: { ...about, ...target } }
}
