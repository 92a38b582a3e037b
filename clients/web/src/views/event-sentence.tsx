/** An event as a sentence. */
import type { ReactNode } from 'react'
import type { LightwireEvent } from '../../../typescript/src/events.ts'
import type { Model } from '../model/model.ts'
import type { Text, TextKey, Values } from '../text.tsx'
import { photoName } from './photo-name.ts'

const DIGITS = 1

const resources: Readonly<Record<string, TextKey>> = {
  cpu: 'charts.cpu',
  memory: 'charts.memory',
  disk: 'charts.disk',
}

export function eventSentence(model: Pick<Model, 'names'>, text: Text, event: LightwireEvent): ReactNode {
  const values: Record<string, string | number> = {}
  for (const [name, value] of Object.entries(event)) {
    if (typeof value === 'number') values[name] = text.number(value, DIGITS)
    else if (typeof value === 'string') values[name] = value
  }
  return text.rich(keyOf(event), { ...values, ...namesIn(model, text, event) })
}

function namesIn(model: Pick<Model, 'names'>, text: Text, event: LightwireEvent): Values {
  const jobId = 'job_id' in event && typeof event.job_id === 'string' ? event.job_id : ''
  const photoId = 'photo_id' in event && typeof event.photo_id === 'number' ? event.photo_id : null
  const named = { photo: photoName(model, text, photoId, jobId), job: photoName(model, text, null, jobId) }
  if (event.type === 'job_progress') return { ...named, progress: text.percent(event.progress) }
  if (event.type !== 'resource_warning') return named
  const { resource_type, current_value, threshold } = event
  const key = resources[resource_type]
  return {
    resource: key ? text.t(key) : resource_type,
    current: text.percent(current_value),
    limit: text.percent(threshold),
  }
}

function keyOf(event: LightwireEvent): TextKey {
  if (event.type === 'job_requeued' && event.reason === 'lease_expired')
    return 'event.job_requeued.lease_expired'
  if (event.type === 'photo_rejected' && event.reason !== '') return 'event.photo_rejected.reason'
  return `event.${event.type}`
}
