/** A child of bench/path.ts: the least that a write and its event cost; no checks, no rights, no replay. */
import { Database } from 'bun:sqlite'
import { join } from 'node:path'

interface SessionInput {
  readonly name: string
  readonly import_folder: string
}

const [, , folder = ''] = process.argv
const database = new Database(join(folder, 'baseline.db'), { create: true })
database.run('PRAGMA journal_mode = WAL')
database.run('PRAGMA synchronous = FULL')
database.run(
  'CREATE TABLE sessions (id INTEGER PRIMARY KEY, name TEXT UNIQUE, import_folder TEXT, created_at TEXT)',
)
database.run('CREATE TABLE events (seq INTEGER PRIMARY KEY, type TEXT, timestamp TEXT, data TEXT)')
const begin = database.prepare('BEGIN IMMEDIATE')
const commit = database.prepare('COMMIT')
const insertSession = database.prepare(
  'INSERT INTO sessions (name, import_folder, created_at) VALUES (?, ?, ?)',
)
const insertEvent = database.prepare('INSERT INTO events (type, timestamp, data) VALUES (?, ?, ?)')

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  websocket: {
    open: (socket) => void socket.subscribe('sessions'),
    message: () => undefined,
    sendPings: false,
  },
  async fetch(request, self) {
    if (new URL(request.url).pathname === '/ws') {
      return self.upgrade(request) ? undefined : new Response(null, { status: 400 })
    }
    const { name, import_folder } = (await request.json()) as SessionInput
    const timestamp = new Date().toISOString()
    begin.run()
    const id = Number(insertSession.run(name, import_folder, timestamp).lastInsertRowid)
    const data = JSON.stringify({ session_id: id, session_name: name, import_folder })
    const seq = Number(insertEvent.run('session_created', timestamp, data).lastInsertRowid)
    commit.run()
    const envelope = `{"type":"session_created","timestamp":"${timestamp}","channel":"sessions","seq":${seq}`
    self.publish('sessions', `${envelope},${data.slice(1)}`)
    return Response.json({ id, name, import_folder, created_at: timestamp }, { status: 201 })
  },
})
process.send?.({ value: server.port })
