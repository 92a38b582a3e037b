/** A few of the system calls that can fail; `npm run test:long` makes each of the first hundred fail. */
import { expect, setDefaultTimeout } from 'bun:test'
import { needs } from '../support/needs.ts'
import { kinds, sweepRunning, sweepStarts } from './sweep.ts'

setDefaultTimeout(120_000)

const testWithStrace = needs('strace')

testWithStrace(
  'a system call that fails under load costs an answer, never what was acknowledged',
  async ({ strace }) => {
    const counts = await sweepRunning(strace, Object.keys(kinds), [1, 7])

    console.log('faults under load:', JSON.stringify(counts))
    expect(counts.faults).toEqual([])
    expect(counts.hits).toBeGreaterThan(4)
  },
)

testWithStrace(
  'a system call that fails while the server starts ends it in one line, or nothing',
  async ({ strace }) => {
    const counts = await sweepStarts(strace, ['sync EIO', 'write ENOSPC', 'open EACCES'], [1, 4])

    console.log('faults at a start:', JSON.stringify(counts))
    expect(counts.faults).toEqual([])
    expect(counts.ended).toBeGreaterThan(1)
  },
)
