/** What the model is told in tests of it: events, and answers to what it reads. */
import type { LightwireEvent } from '../../clients/typescript/src/events.ts'
import { ApiError } from '../../clients/web/src/api.ts'

export const timestamp = '2026-01-01T00:00:00.000Z'

/** Tests write what they are about; the page reads no more of an event than that. */
export const event = (channel: string, seq: number, type: string, fields: object = {}) =>
  ({
    type,
    channel,
    seq,
    timestamp,
    photo_id: null,
    session_id: null,
    ...fields,
  }) as unknown as LightwireEvent

/** Answers reads when the test says so. */
export function reader() {
  interface Asked {
    readonly path: string
    answer(value: unknown, cursor: string): void
    fail(status: number): void
  }
  const asked: Asked[] = []
  return {
    asked,
    read: <T>(path: string) =>
      new Promise<{ value: T; cursor: string }>((resolve, reject) =>
        asked.push({
          path,
          answer: (value, cursor) => resolve({ value: value as T, cursor }),
          fail: (status) => reject(noAnswer(status)),
        }),
      ),
  }
}

/** @param status 0 where the server cannot be reached */
export const noAnswer = (status: number) =>
  new ApiError(status === 0 ? 'network' : `http_${status}`, '', status)
