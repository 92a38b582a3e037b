/** What was released of version 1 of the wire holds still; PROTOCOL §8 says what may be added. */
import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describeWire, readWire, wireText, type WireDescription } from '../../cli/wire-description.ts'
import { version } from '../../package.json' with { type: 'json' }
import { projectRoot } from '../support/process.ts'
import { startTestServer } from '../support/server.ts'
import { brokenPromises } from './compatible.ts'

const folder = join(projectRoot, 'docs', 'released')
const files = readdirSync(folder).toSorted()
const wire = readWire(wireText(describeWire()))

/** A copy of the wire in which something was changed. */
function altered(change: (wire: Loose) => void): string[] {
  const copy = structuredClone(wire) as unknown as Loose
  change(copy)
  return brokenPromises(wire, copy as unknown as WireDescription)
}

/** A description whose parts a test may set as it likes. */
interface Loose {
  [name: string]: Loose & Loose[] & string[]
}

const set = (parts: unknown, name: string, value: unknown) =>
  ((parts as Record<string, unknown>)[name] = value)
const drop = (parts: unknown, name: string) => delete (parts as Record<string, unknown>)[name]
const text = { type: 'string' }

test('every release of this version of the wire is kept to', () => {
  expect(files.length).toBeGreaterThan(0)
  for (const file of files) {
    const released = readWire(readFileSync(join(folder, file), 'utf8'))
    expect([file, ...brokenPromises(released, wire)]).toEqual([file])
  }
})

test('a version that is older than this one, or it itself, was kept at its release', () => {
  const numbers = files.map((file) => file.slice(1, -'.jsonl'.length))
  const newest = numbers.toSorted((a, b) => Bun.semver.order(a, b)).at(-1) ?? ''

  expect(Bun.semver.order(newest, version)).toBeLessThanOrEqual(0)
})

test('what only adds keeps every promise', () => {
  const faults = altered((copy) => {
    set(copy['events'], 'photo_printed', {
      channel: 'photos',
      class: 'fact',
      key: [],
      told: {},
      accepted: {},
    })
    copy['channels']?.push('prints')
    copy['operators']?.push('prefix')
    set(copy['refusals'], 'quota_exceeded', { status: 429, close: 4431 })
    set(copy['serverMessages'], 'notice', { type: 'object' })
    set(copy['clientMessages'], 'look', { reply: 'looked', accepted: { type: 'object' } })
    set(copy['routes'], 'GET /api/prints', { right: 'apiRead', status: 200, accepted: {}, told: {} })
    const told = copy['events']?.['job_created']?.['told']
    const accepted = copy['events']?.['job_created']?.['accepted']
    set(told?.['properties'], 'deadline', text)
    told?.['required']?.push('deadline')
    set(accepted?.['properties'], 'deadline', text)
    set(copy['serverMessages']?.['pong']?.['properties'], 'load', { type: 'number' })
    const code = copy['serverMessages']?.['error']?.['properties']?.['code']
    code?.['enum']?.push('quota_exceeded')
    const subscribe = copy['clientMessages']?.['subscribe']?.['accepted']
    set(subscribe?.['properties'], 'limit', { type: 'integer' })
    set(subscribe?.['properties']?.['batch_ms'], 'maximum', 10_000)
  })

  expect(faults).toEqual([])
})

const breaking: Record<string, [change: (copy: Loose) => void, fault: string]> = {
  'an event type is gone': [(copy) => drop(copy['events'], 'job_created'), 'event job_created: is gone'],
  'an event moves to another channel': [
    (copy) => set(copy['events']?.['photo_approved'], 'channel', 'approval'),
    'event photo_approved channel: was "photos", is "approval"',
  ],
  'a fact becomes a state': [
    (copy) => set(copy['events']?.['job_failed'], 'class', 'state'),
    'event job_failed class: was "fact", is "state"',
  ],
  'a state has another key': [
    (copy) => set(copy['events']?.['job_progress'], 'key', ['photo_id']),
    'event job_progress key: was ["job_id"], is ["photo_id"]',
  ],
  'a field of an event is gone': [
    (copy) => drop(copy['events']?.['job_failed']?.['told']?.['properties'], 'error_message'),
    'event job_failed.error_message: is gone',
  ],
  'a field of an event has another name': [
    (copy) => {
      const told = copy['events']?.['photo_imported']?.['told']
      set(told?.['properties'], 'path', text)
      drop(told?.['properties'], 'file_path')
    },
    'event photo_imported.file_path: is gone',
  ],
  'a field of an event has another type': [
    (copy) => set(copy['events']?.['job_created']?.['told']?.['properties'], 'priority', text),
    'event job_created.priority: was "integer", is "string"',
  ],
  'an integer may have a fraction now': [
    (copy) =>
      set(copy['events']?.['queue_status']?.['told']?.['properties'], 'total', {
        type: 'number',
        minimum: 0,
      }),
    'event queue_status.total: was "integer", is "number"',
  ],
  'a field of an event may be missing': [
    (copy) => copy['events']?.['job_started']?.['told']?.['required']?.pop(),
    'event job_started.attempt: may be missing',
  ],
  'a field of an event may be null': [
    (copy) => {
      const properties = copy['events']?.['job_created']?.['told']?.['properties']
      set(properties, 'priority', { anyOf: [properties?.['priority'], { type: 'null' }] })
    },
    'event job_created.priority: may be {"type":"null"}',
  ],
  'a field has a value that clients do not know': [
    (copy) => copy['events']?.['job_requeued']?.['told']?.['properties']?.['reason']?.['enum']?.push('moved'),
    'event job_requeued.reason: may be moved',
  ],
  'a publisher must give one field more': [
    (copy) => copy['events']?.['job_started']?.['accepted']?.['required']?.push('worker'),
    'event job_started published.worker: must be there',
  ],
  'a publisher may not say a value any more': [
    (copy) =>
      copy['events']?.['resource_warning']?.['accepted']?.['properties']?.['resource_type']?.['enum']?.pop(),
    'event resource_warning published.resource_type: may no longer be gpu',
  ],
  'a default changes': [
    (copy) =>
      set(copy['clientMessages']?.['publish']?.['accepted']?.['properties']?.['command'], 'default', true),
    'message publish.command: left out it was false',
  ],
  'a message of a client is gone': [(copy) => drop(copy['clientMessages'], 'ping'), 'message ping: is gone'],
  'a message of a client needs one field more': [
    (copy) => set(copy['clientMessages']?.['subscribe']?.['accepted'], 'required', ['channels', 'since']),
    'message subscribe.since: must be there',
  ],
  'a message may be less long': [
    (copy) =>
      set(copy['clientMessages']?.['subscribe']?.['accepted']?.['properties']?.['batch_ms'], 'maximum', 1000),
    'message subscribe.batch_ms: another maximum',
  ],
  'a message has another reply': [
    (copy) => set(copy['clientMessages']?.['ping'], 'reply', 'ponged'),
    'message ping reply: was "pong", is "ponged"',
  ],
  'an answer lacks a field': [
    (copy) => drop(copy['serverMessages']?.['pong']?.['properties'], 'cursor'),
    'answer pong.cursor: is gone',
  ],
  'a refusal is gone': [(copy) => drop(copy['refusals'], 'conflict'), 'refusal conflict: is gone'],
  'a refusal has another status': [
    (copy) => set(copy['refusals']?.['conflict'], 'status', 422),
    'refusal conflict: was {"status":409}, is {"status":422}',
  ],
  'a refusal closes with another code': [
    (copy) => set(copy['refusals']?.['invalid_token'], 'close', 4401),
    'refusal invalid_token: was {"status":401,"close":4501}, is {"status":401,"close":4401}',
  ],
  'an operator is gone': [(copy) => copy['operators']?.pop(), 'operators exists: is gone'],
  'a channel is gone': [(copy) => copy['channels']?.pop(), 'channels system: is gone'],
  'a framing is gone': [(copy) => copy['subprotocols']?.pop(), 'subprotocols lightwire.v1.deflate: is gone'],
  'a route is gone': [(copy) => drop(copy['routes'], 'GET /api/jobs'), 'route GET /api/jobs: is gone'],
  'a route answers with another status': [
    (copy) => set(copy['routes']?.['POST /api/jobs'], 'status', 200),
    'route POST /api/jobs status: was 201, is 200',
  ],
  'a route asks for another right': [
    (copy) => set(copy['routes']?.['GET /api/jobs'], 'right', 'admin'),
    'route GET /api/jobs right: was "apiRead", is "admin"',
  ],
  'a parameter is gone': [
    (copy) => drop(copy['routes']?.['GET /api/events']?.['accepted']?.['query']?.['properties'], 'wait'),
    'route GET /api/events query.wait: is gone',
  ],
}

test('a client of a version to come that also offers this one gets this one', async () => {
  await using server = await startTestServer()
  const protocols = ['lightwire.v2.json', 'lightwire.v1.json', `bearer.${server.token}`]
  const socket = new WebSocket(server.socketUrl, protocols)
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = reject
  })
  const { protocol } = socket
  socket.close()
  const { status } = await server.api('GET', '/api/v2/events')

  expect([protocol, status]).toEqual(['lightwire.v1.json', 404])
})

for (const [name, [change, fault]] of Object.entries(breaking)) {
  test(`it is a fault when ${name}`, () => {
    expect(altered(change)).toContain(fault)
  })
}
