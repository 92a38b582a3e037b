import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { parseFilter, type Fields, type Filter } from '../../lib/protocol/filter.ts'
import { FilterLookup } from '../../lib/realtime/filter-lookup.ts'

/** Few fields and values, so that conditions meet the events often. */
const values = {
  job_id: fc.constantFrom('a', 'b', 'c'),
  stage: fc.constantFrom('x', 'y'),
  progress: fc.integer({ min: 0, max: 3 }),
  photo_id: fc.option(fc.integer({ min: 1, max: 2 }), { nil: null }),
}
type Field = keyof typeof values

const condition = (field: Field) => {
  const value = values[field] as fc.Arbitrary<unknown>
  const ordered = field !== 'photo_id'
  return fc.oneof(
    value,
    fc.record({ eq: value }),
    fc.record({ ne: value }),
    fc.record({ in: fc.array(value, { minLength: 1, maxLength: 3 }) }),
    fc.record({ exists: fc.boolean() }),
    ...(ordered ? [fc.record({ gte: value, lt: value }, { requiredKeys: ['gte'] })] : []),
  )
}
const where = fc
  .record(Object.fromEntries((Object.keys(values) as Field[]).map((field) => [field, condition(field)])), {
    requiredKeys: [],
    noNullPrototype: true,
  })
  .filter((conditions) => Object.keys(conditions).length > 0)
const event: fc.Arbitrary<Fields> = fc.record(values, { requiredKeys: [], noNullPrototype: true })

test('a filter does not depend on the order of fields, operators and list values', () => {
  fc.assert(
    fc.property(where, event, (conditions, fields) => {
      const turned = Object.fromEntries(
        Object.entries(conditions)
          .toReversed()
          .map(([field, wanted]) => [field, reversed(wanted)]),
      )
      const [one, other] = [parseFilter(conditions, ['jobs']), parseFilter(turned, ['jobs'])]
      expect(other.key).toBe(one.key)
      expect(other.matches(fields)).toBe(one.matches(fields))
    }),
    { numRuns: 500, seed: 7 },
  )
})

test('the lookup finds exactly the filters that an event passes, also after some have gone', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(where, {
        maxLength: 12,
        selector: (conditions) => parseFilter(conditions, ['jobs']).key,
      }),
      fc.array(event, { maxLength: 10 }),
      fc.integer({ min: 0, max: 12 }),
      (wheres, events, gone) => {
        const entries = wheres.map((conditions) => ({ filter: parseFilter(conditions, ['jobs']) }))
        const lookup = new FilterLookup<{ filter: Filter }>()
        for (const entry of entries) lookup.add(entry)
        for (const entry of entries.slice(0, gone)) lookup.delete(entry)
        const left = entries.slice(gone)
        for (const fields of events) {
          const expected = left.filter(({ filter }) => filter.matches(fields))
          expect(new Set(lookup.matching(fields))).toEqual(new Set(expected))
        }
        expect(lookup.isEmpty).toBe(left.length === 0)
      },
    ),
    { numRuns: 500, seed: 8 },
  )
})

test('of a thousand filters on one job each, an event is compared with its own only, and once', () => {
  let evaluated = 0
  const lookup = new FilterLookup<{ filter: Filter; job: string }>()
  for (let n = 0; n < 1000; n += 1) {
    const filter = parseFilter({ job_id: { in: [`j${n}`, `k${n}`] }, progress: { gte: 0 } }, ['jobs'])
    const counted = { ...filter, matches: (fields: Fields) => (evaluated += 1) > 0 && filter.matches(fields) }
    lookup.add({ filter: counted, job: `j${n}` })
  }

  const found = [...lookup.matching({ type: 'job_progress', job_id: 'j77', progress: 5 })]

  expect(found.map(({ job }) => job)).toEqual(['j77'])
  expect(evaluated).toBe(1)
})

function reversed(wanted: unknown): unknown {
  if (typeof wanted !== 'object' || wanted === null) return { eq: wanted }
  return Object.fromEntries(
    Object.entries(wanted)
      .toReversed()
      .map(([op, value]) => [
        op,
        Array.isArray(value) ? [...value, ...value].toReversed() : (value as unknown),
      ]),
  )
}
