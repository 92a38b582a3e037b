/** The domain against a model of it: random commands over the real server, each answer, event and row compared. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { needs } from '../support/needs.ts'
import { plant, type Patch } from '../support/planted.ts'
import { startPostgres, type PostgresCluster } from '../support/postgres.ts'
import { projectRoot } from '../support/process.ts'
import type { StepName } from './commands.ts'
import { checkClients, checkSequences, RUNS } from './properties.ts'
import type { StartServer } from './world.ts'

setDefaultTimeout(120_000)

let cluster: Promise<PostgresCluster> | undefined
afterAll(async () => (await cluster)?.[Symbol.asyncDispose]())

test('every command answers, tells and stores what the model says', async () => {
  await checkSequences({ runs: RUNS.sequential })
})

test('what four clients do at once is told and stored as one state', async () => {
  await checkClients({ runs: RUNS.parallel })
})

needs('postgresBin')(
  'on Postgres the model holds too, for one client and for four',
  async ({ postgresBin }) => {
    cluster ??= startPostgres(postgresBin)
    const config = async () => ({ DATABASE_URL: await (await cluster)?.createDatabase() })

    await checkSequences({ runs: RUNS.postgres, lanes: 2, config })
    await checkClients({ runs: RUNS.postgres, lanes: 2, config })
  },
)

interface Planted {
  readonly name: string
  readonly patch: Patch
  /** The steps that can show it. */
  readonly only: readonly StepName[]
  /** What is found. */
  readonly found: RegExp
}

const shoot = ['createSession', 'importPhotos', 'createJob'] as const
const work = [...shoot, 'claimNext', 'complete'] as const
const faults: readonly Planted[] = [
  {
    name: 'a cancelled job still counts as pending',
    patch: {
      file: 'lib/domain/jobs.ts',
      find: '{ pending: -1, cancelled: 1 }',
      replace: '{ cancelled: 1 }',
    },
    only: [...shoot, 'cancel'],
    found: /^Error: (events|count and total of jobs)/m,
  },
  {
    name: 'a lease that ran out is accepted',
    patch: { file: 'lib/domain/jobs.ts', find: 'row.lease_expires_at <= write.now', replace: 'false' },
    only: [...work, 'expire'],
    found: /accepted after the end of the lease/,
  },
  {
    name: 'an attempt that is over is accepted',
    patch: { file: 'lib/domain/jobs.ts', find: 'attempt !== row.attempts', replace: 'attempt > 9' },
    only: [...work, 'retry'],
    found: /status: 200, expected 409/,
  },
  {
    name: 'an export that approval starts is not told',
    patch: {
      file: 'lib/domain/approval.ts',
      find: 'startExport(write,',
      replace: 'startExport({ ...write, emit: () => undefined },',
    },
    only: [...work, 'approve'],
    found: /events: .*expected .*export_started/,
  },
  {
    name: 'exports outlive their session',
    patch: {
      file: 'lib/domain/sessions.ts',
      find: "queries.deleteFrom('exports').where('photo_id', 'in', ofSession)",
      replace: "queries.deleteFrom('exports').where('photo_id', '=', 0)",
    },
    only: ['createSession', 'importPhotos', 'startExport', 'deleteSession'],
    found: /status: 500|exports/,
  },
  {
    name: 'the best photos come last in the approval queue',
    patch: { file: 'lib/domain/approval.ts', find: "'-ai_score'", replace: "'ai_score'" },
    only: [...work, 'analyze'],
    found: /scores of the approval queue/,
  },
]

for (const { name, patch, only, found } of faults) {
  test(`the model finds it when ${name}`, async () => {
    using copy = plant([patch])
    // The tests' own server starts from beside the copy.
    const support = join(copy.root, 'tests', 'support')
    cpSync(join(projectRoot, 'tests', 'support'), support, { recursive: true })
    const { startTestServer } = (await import(join(support, 'server.ts'))) as { startTestServer: StartServer }

    const checked = checkSequences({ runs: 80, lanes: 2, start: startTestServer, only, shrinkMs: 0 })

    const complaint = await checked.then(
      () => 'nothing',
      (error: Error) => `${error.message}\n${String(error.cause)}`,
    )
    expect(complaint).toMatch(found)
  })
}
