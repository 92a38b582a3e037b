/** PROTOCOL.md names what the source has: each event type with its channel, fields and class, and each refusal. */
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import { catalogue, eventTypes } from '../../lib/protocol/events.ts'
import { refusals } from '../../lib/protocol/refusals.ts'
import { projectRoot } from '../support/process.ts'

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8')
const protocol = read('PROTOCOL.md')

/** The cells of a table, row by row, without its head. */
function rowsUnder(head: string): string[][] {
  const table = protocol.split(`\n${head}\n`)[1]?.split('\n\n')[0] ?? ''
  const rows = table.split('\n').map((row) => row.split('|').map((cell) => cell.trim()))
  return rows.slice(1).map((row) => row.slice(1, -1))
}

const names = (cell = '') => cell.split(' · ').map((name) => name.replace(/ \(.*\)$/, ''))

/** Said once above the table, for all events about a photo, job or export. */
const saidOnce = ['photo_id', 'session_id']

test('PROTOCOL.md has a row for each event type, with its channel, fields and class', () => {
  let above = ''
  const described = rowsUnder('| channel | type | fields | class |').flatMap(
    ([channel, types, fields, kind]) => {
      above = channel || above
      const parts = names(fields)
      return names(types).map((type, index) => ({ channel: above, type, fields: parts[index] ?? '', kind }))
    },
  )

  const faults = described.flatMap(({ channel, type, fields, kind = '' }) => {
    const row = eventTypes.includes(type as never) ? catalogue[type as keyof typeof catalogue] : undefined
    if (!row) return [`${type} is not in the catalogue`]
    const missing = Object.keys(row.data.shape).filter(
      (field) => !saidOnce.includes(field) && !new RegExp(`\\b${field}\\b`).test(fields),
    )
    const key = row.class === 'state' && row.key.length > 0 ? `state per ${row.key.join(', ')}` : row.class
    return [
      ...missing.map((field) => `${type} lacks ${field}`),
      ...(channel === row.channel ? [] : [`${type} is on ${row.channel}`]),
      ...(kind === key ? [] : [`${type} is: ${key}`]),
    ]
  })

  expect(described.map(({ type }) => type).toSorted()).toEqual(eventTypes.toSorted())
  expect(faults).toEqual([])
})

test('PROTOCOL.md names each refusal that the source gives, and no other', () => {
  const described = rowsUnder('| code | HTTP | close |').flatMap(([codes]) => names(codes))
  const sources = [...new Glob('lib/**/*.ts').scanSync(projectRoot)].map(read)
  const given = sources.flatMap((text) =>
    [...text.matchAll(/new Refusal\(\s*'(\w+)'/g)].map(([, code = '']) => code),
  )

  expect(given.length).toBeGreaterThan(50)
  expect([...new Set(given)].filter((code) => !described.includes(code))).toEqual([])
  expect(described.filter((code) => !(code in refusals))).toEqual([])
})
