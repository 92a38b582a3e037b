/** What tests of filters and batches share: subscribing with options, and what came in batches. */
import type { Message, TestClient } from '../support/client.ts'
import type { TestServer } from '../support/server.ts'

export interface ReceivedBatch {
  readonly channel: string
  readonly after: number
  readonly upto: number
  readonly events: readonly (Message & { readonly seq: number })[]
}

export async function subscribeWith(client: TestClient | undefined, options: object): Promise<Message> {
  const answer = await client?.request({ type: 'subscribe', ...options })
  if (answer?.type !== 'subscription_confirmed') throw new Error(`not confirmed: ${JSON.stringify(answer)}`)
  return answer
}

export function batchesOf(client: TestClient): ReceivedBatch[] {
  return client.received.filter(({ type }) => type === 'batch') as unknown as ReceivedBatch[]
}

/** Events that came in batches, in the order received. */
export function eventsOf(client: TestClient) {
  return batchesOf(client).flatMap(({ events }) => events)
}

/** One commit of progress events, each a job and its percent. */
export async function publishProgress(
  { api }: TestServer,
  reports: readonly (readonly [job: string, percent: number])[],
): Promise<void> {
  const events = reports.map(([job_id, progress]) => ({
    type: 'job_progress',
    job_id,
    stage: 'develop',
    progress,
    message: '',
  }))
  const { status } = await api('POST', '/api/events', events)
  if (status !== 201) throw new Error(`not published: ${status}`)
}
