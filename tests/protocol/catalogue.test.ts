import { expect, test } from 'bun:test'
import { events } from '../../lib/protocol/event-helpers.ts'
import { catalogue, channels, envelopeFields, eventTypes } from '../../lib/protocol/events.ts'
import {
  closeCodeOf,
  mayReconnect,
  refusals,
  statusOf,
  type RefusalCode,
} from '../../lib/protocol/refusals.ts'

test('every channel has an event type', () => {
  expect(new Set(eventTypes.map((type) => catalogue[type].channel))).toEqual(new Set(channels))
})

test('state events are those of PROTOCOL §3, each with a key of its own fields', () => {
  const states = eventTypes.filter((type) => catalogue[type].class === 'state')

  expect(states.toSorted()).toEqual([
    'approval_queue_updated',
    'job_progress',
    'queue_status',
    'session_updated',
    'system_status',
  ])
  for (const type of states) {
    for (const field of catalogue[type].key) expect(Object.keys(catalogue[type].data.shape)).toContain(field)
  }
})

test('no data field may overwrite the envelope', () => {
  for (const type of eventTypes) {
    for (const field of envelopeFields) expect(Object.keys(catalogue[type].data.shape)).not.toContain(field)
  }
})

test('events about photos, jobs and exports name their photo and session', () => {
  const about = eventTypes.filter((type) => /^(job|photo|export|priority)_/.test(type))

  for (const type of about)
    expect(Object.keys(catalogue[type].data.shape)).toEqual(
      expect.arrayContaining(['photo_id', 'session_id']),
    )
})

test('an empty Lua table is taken for an object where an object is meant', () => {
  expect(catalogue.job_completed.data.parse({ job_id: 'a', result: [] })).toEqual({
    job_id: 'a',
    photo_id: null,
    session_id: null,
    result: {},
  })
  expect(catalogue.job_completed.data.safeParse({ job_id: 'a', result: [1] }).success).toBe(false)
})

test('there is a typed helper for each event', () => {
  expect(Object.keys(events)).toHaveLength(eventTypes.length)
  expect(events.jobProgress({ job_id: 'a', stage: 'tone', progress: 5 })).toEqual({
    type: 'job_progress',
    job_id: 'a',
    stage: 'tone',
    progress: 5,
  })
})

test('the close code of each refusal carries the advice of PROTOCOL §2 in its range', () => {
  const closing = (Object.keys(refusals) as RefusalCode[]).filter((code) => 'close' in refusals[code])
  const advice = Object.fromEntries(closing.map((code) => [code, mayReconnect(closeCodeOf(code))]))

  expect(advice).toEqual({
    invalid_message: false,
    unauthenticated: true,
    invalid_token: false,
    auth_timeout: false,
    unsupported_protocol: false,
    cursor_gone: true,
    too_large: false,
    rate_limited: true,
    too_many_connections: true,
    slow_consumer: true,
    no_pong: true,
    disconnected: false,
    draining: true,
    internal: true,
  })
  expect(statusOf('cursor_gone')).toBe(410)
})
