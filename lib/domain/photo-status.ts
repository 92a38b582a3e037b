/** The states of a photo, in the order a shoot walks through them. */

export const photoStatuses = [
  'imported',
  'analyzed',
  'selected',
  'queued',
  'processing',
  'completed',
  'approved',
  'rejected',
  'failed',
] as const

export type PhotoStatus = (typeof photoStatuses)[number]
