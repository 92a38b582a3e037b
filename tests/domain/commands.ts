/** The commands by name, how often each is drawn, and the arbitrary that draws them. */
import fc from 'fast-check'
import * as jobs from './job-commands.ts'
import { CHOICE_MAX, subjects, type Build, type Choices } from './operations.ts'
import * as shoot from './shoot-commands.ts'

/** Each command, and its share among all that are drawn. */
const shares = {
  createSession: [2, shoot.createSession],
  patchSession: [2, shoot.patchSession],
  completeSession: [1, shoot.completeSession],
  deleteSession: [1, shoot.deleteSession],
  importPhotos: [4, shoot.importPhotos],
  analyze: [3, shoot.analyze],
  select: [2, shoot.select],
  analyzeAndSelect: [1, shoot.analyzeAndSelect],
  createJob: [8, jobs.createJob],
  claimNext: [6, jobs.claimNext],
  claimNamed: [2, jobs.claimNamed],
  reportProgress: [3, jobs.reportProgress],
  complete: [7, jobs.complete],
  fail: [2, jobs.fail],
  retry: [3, jobs.retry],
  setPriority: [2, jobs.setPriority],
  cancel: [4, jobs.cancel],
  approve: [4, shoot.approve],
  reject: [2, shoot.reject],
  startExport: [2, shoot.startExport],
  completeExport: [3, shoot.completeExport],
  failExport: [1, shoot.failExport],
  announce: [1, shoot.announce],
  reportError: [1, shoot.reportError],
  publishForeign: [1, shoot.publishForeign],
  publishHeld: [1, shoot.publishHeld],
} as const satisfies Record<string, readonly [share: number, build: Build]>

type OperationName = keyof typeof shares
/** Leases that run out are no request: the clock goes on. */
export type StepName = OperationName | 'expire'

export interface Step {
  readonly name: StepName
  readonly choices: Choices
}

const EXPIRE_SHARE = 2
// The table's own keys.
const names = Object.keys(shares) as readonly OperationName[]
/** What a client may send while others delete: derived values are not taken from outside while there are rows. */
export const concurrentSteps: readonly StepName[] = [
  ...names.filter((name) => name !== 'publishHeld'),
  'expire',
]

export function buildOf(name: OperationName): Build {
  return shares[name][1]
}

/** Steps in their shares: all, or only those named. */
export function steps(only: readonly StepName[] = [...names, 'expire']): fc.Arbitrary<Step> {
  const shareOf = (name: StepName) => (name === 'expire' ? EXPIRE_SHARE : shares[name][0])
  const drawn = only.flatMap((name) => Array<StepName>(shareOf(name)).fill(name))
  const choice = fc.nat(CHOICE_MAX)
  const choices = fc.record(
    { row: choice, a: choice, b: choice, subject: fc.constantFrom(...subjects), socket: fc.boolean() },
    { noNullPrototype: true },
  )
  return fc
    .record({ name: fc.constantFrom(...drawn), choices })
    .map((step) => ({ ...step, [fc.toStringMethod]: () => textOf(step) }))
}

const plain: Choices = { row: 0, a: 0, b: 0, subject: 'anna', socket: false }
/** What every run begins with, so that there is something to act on: a session, four photos, two jobs. */
export const opening: readonly Step[] = [
  { name: 'createSession', choices: plain },
  { name: 'importPhotos', choices: { ...plain, b: 3 } },
  { name: 'createJob', choices: plain },
  { name: 'createJob', choices: { ...plain, row: 5 } },
]

export function textOf({ name, choices: { row, a, b, subject, socket } }: Step): string {
  return `${name}(${row}, ${a}, ${b}, ${subject}${socket ? ', socket' : ''})`
}

/** How far the clock goes on, in milliseconds. */
export function expiryOf({ a }: Choices): number {
  return [21_000, 61_000, 121_000][a % 3] ?? 0
}
