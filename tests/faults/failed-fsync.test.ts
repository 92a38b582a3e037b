/** A disk that refuses a sync, wherever it is asked: nothing more is acknowledged, no second try, and the process ends. */
import { expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { logged, serveFolder } from './served.ts'
import { inject } from './strace.ts'

setDefaultTimeout(60_000)

const testWithStrace = needs('strace')
/** A proper exit would let SQLite sync once more. */
const KILLED = 128 + 9
const ACKNOWLEDGED_MAX = 5000
/** Paths so long that the log reaches the size of a checkpoint within a second. */
const LONG_PATH = 1200

const places = [
  ['of the log after a commit', { file: 'lightwire.db-wal', calls: 'fdatasync' }],
  ['of the log in a checkpoint', { file: 'lightwire.db-wal', calls: 'fsync' }],
  ['of the database in a checkpoint', { file: 'lightwire.db', calls: 'fsync' }],
] as const

for (const [place, { file, calls }] of places) {
  testWithStrace(
    `a failed sync ${place} ends the server, and a restart has all it acknowledged`,
    async ({ strace }) => {
      await using served = await serveFolder()
      await served.write(({ acknowledged }) => acknowledged < 50)
      await served.follower.sync()
      const { server } = served
      const path = join(served.folder, file)

      await using fault = await inject(strace, server.pid, { calls, error: 'EIO', paths: [path] })
      const told = await served.write(({ acknowledged }) => acknowledged < ACKNOWLEDGED_MAX, {
        pathLength: LONG_PATH,
        importsOnly: true,
      })
      const code = await server.exited
      await fault.end()
      await served.follower.gone()
      const recovery = await served.restart()

      const failed = fault.calls().filter((line) => line.includes('INJECTED'))
      expect(code).toBe(KILLED)
      expect(failed).toHaveLength(1)
      expect(logged(server, 'the disk refused a sync; stopped accepting writes')).toHaveLength(1)
      expect(told.refused.every(({ status }) => status === 503)).toBe(true)
      if (calls === 'fdatasync') expect(told.acknowledged).toBe(0)
      expect(recovery).toEqual(['recovered'])
      expect(served.faults()).toEqual([])
    },
  )
}
