/** What one import reports: four jobs side by side, each file by file and step by step, its percentage rising. */
import { createRandom } from '../../tests/support/random.ts'

export const JOBS = 4
const FIRST_FILE = 401

/** What one `job_progress` says. */
export interface Report {
  /** Which of the jobs, from 0. */
  readonly job: number
  readonly stage: string
  readonly progress: number
  readonly message: string
}

const STEPS = [
  ['import', 'reading metadata'],
  ['import', 'embedded preview'],
  ['develop', 'demosaic'],
  ['develop', 'lens correction'],
  ['develop', 'tone curve'],
  ['export', 'sharpening'],
  ['export', 'writing JPEG'],
] as const

/** So many reports in their order; the jobs take turns at random, always the same way. */
export function importReports(count: number): Report[] {
  const random = createRandom(5)
  const turns = Array.from({ length: count }, () => random.int(0, JOBS - 1))
  const jobs = Array.from({ length: JOBS }, (_, job) => ({
    total: turns.filter((turn) => turn === job).length,
    made: 0,
    file: 0,
  }))
  let nextFile = FIRST_FILE
  return turns.flatMap((turn) => {
    const job = jobs[turn]
    const step = STEPS[(job?.made ?? 0) % STEPS.length]
    if (!job || !step) return []
    if (job.made % STEPS.length === 0) job.file = nextFile++
    job.made += 1
    const [stage, work] = step
    const progress = Math.round((job.made / job.total) * 1000) / 10
    return { job: turn, stage, progress, message: `IMG_${String(job.file).padStart(4, '0')}.CR3: ${work}` }
  })
}
