/** How SQLite answers each list: by an index in the order asked for, so that a page costs the same in any library. */
import { Database as SqliteFile } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { Kysely, SqliteDialect } from 'kysely'
import { approvalQuery, listApproval } from '../../lib/domain/approval.ts'
import { exportQuery, listExports } from '../../lib/domain/exports.ts'
import { jobQuery } from '../../lib/domain/job-schemas.ts'
import { claimNextJob, listJobs } from '../../lib/domain/jobs.ts'
import { expireLeases } from '../../lib/domain/leases.ts'
import { listPhotos, photoQuery } from '../../lib/domain/photos.ts'
import type { Queries, Schema } from '../../lib/store/schema.ts'
import { startTestServer } from '../support/server.ts'

interface Listing {
  readonly name: string
  readonly schema: { parse(value: unknown): unknown }
  readonly list: (queries: Queries, query: never) => Promise<unknown>
  readonly sorts: readonly string[]
  readonly filters: readonly Record<string, string>[]
}

const listings: readonly Listing[] = [
  {
    name: 'photos',
    schema: photoQuery,
    list: listPhotos,
    sorts: ['id', 'file_name', 'ai_score', 'imported_at', 'updated_at'],
    filters: [{}, { status: 'imported' }, { session_id: '1' }],
  },
  {
    name: 'jobs',
    schema: jobQuery,
    list: listJobs,
    sorts: ['created_at', 'completed_at', 'priority'],
    filters: [{}, { status: 'pending' }, { photo_id: '1' }, { priority: '5' }],
  },
  {
    name: 'exports',
    schema: exportQuery,
    list: listExports,
    sorts: ['id'],
    filters: [{}, { status: 'running' }, { photo_id: '1' }],
  },
  {
    name: 'approval queue',
    schema: approvalQuery,
    list: listApproval,
    sorts: [],
    filters: [{}],
  },
]

/** Runs `act` on the tables of a new server; what SQLite says about each statement, by its text. */
async function plansOf(act: (queries: Queries) => Promise<unknown>): Promise<Map<string, string>> {
  await using server = await startTestServer()
  using file = new SqliteFile(join(server.folder, 'lightwire.db'), { readonly: true })
  const plans = new Map<string, string>()
  const queries = new Kysely<Schema>({
    dialect: new SqliteDialect({
      database: {
        close: () => undefined,
        prepare(text: string) {
          const steps = file.prepare<{ detail: string }, []>(`explain query plan ${text}`).all()
          plans.set(text, steps.map(({ detail }) => detail).join(' | '))
          return file.prepare(text) as never
        },
      },
    }),
  })
  await act(queries)
  return plans
}

const cases = listings.flatMap(({ name, schema, list, sorts, filters }) => [
  ...filters.map((filter) => ({ name, query: filter as Record<string, string>, schema, list })),
  ...sorts.flatMap((sort) => [
    { name, query: { sort }, schema, list },
    { name, query: { sort: `-${sort}` }, schema, list },
  ]),
])

// Where a score is asked for too, few photos are sorted: bench/scale.ts has that.
test.each(cases)('$name by $query reads no more rows than it shows', async ({ query, schema, list }) => {
  const plans = await plansOf((queries) => list(queries, schema.parse(query) as never))

  const pages = [...plans].filter(([text]) => text.includes('limit') && text.includes('order by'))
  expect(pages).toHaveLength(1)
  for (const [, plan] of pages) {
    expect(plan).toMatch(/USING (COVERING )?INDEX|USING INTEGER PRIMARY KEY|^SCAN \w+$/)
    expect(plan).not.toContain('USE TEMP B-TREE FOR ORDER BY')
  }
})

test('a claim and the sweep of leases find their jobs by an index', async () => {
  const write = (queries: Queries) => ({
    queries,
    now: new Date().toISOString(),
    emit: () => undefined,
    touch: () => undefined,
    beforeCommit: () => undefined,
  })

  const plans = await plansOf(async (queries) => {
    await claimNextJob(write(queries), 'x', { worker: 'w', lease_seconds: 1 })
    await expireLeases(write(queries), 3)
  })

  expect([...plans.values()].filter((plan) => /SCAN|TEMP B-TREE/.test(plan))).toEqual([])
  expect(plans.size).toBe(2)
})
