/** What a photo or a job is called on the screen. */
import type { Model } from '../model/model.ts'
import type { Text } from '../text.tsx'

const JOB_CHARACTERS = 8

export function photoName(
  { names }: Pick<Model, 'names'>,
  { t }: Text,
  id: number | null,
  jobId = '',
): string {
  if (id === null) return jobId === '' ? '' : t('job', { id: jobId.slice(0, JOB_CHARACTERS) })
  return names.of(id) || t('photo', { id })
}
