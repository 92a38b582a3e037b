/** RELIABILITY.md says what the promises and the reports of the long run say, and names tests that there are. */
import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { partNames, promises, readOutcomes, reliabilityText } from '../long/reliability.ts'
import { projectRoot } from '../support/process.ts'

const text = readFileSync(join(projectRoot, 'RELIABILITY.md'), 'utf8')
/** The line of Bun and the machine is that of the last run. */
const body = (document: string) => document.split('\n').filter((line) => !line.startsWith('Bun '))

test('RELIABILITY.md is what the long run writes from the reports that it holds', () => {
  expect(body(reliabilityText(readOutcomes(text), Bun.version))).toEqual(body(text))
})

test('a run of some parts leaves the reports of the others as they were', () => {
  const report = { seeds: 3, faults: ['a | b'] }
  const outcome = { held: true, date: '2026-01-02', version: '1.2.3', report }
  const outcomes = new Map([
    ['soak', outcome],
    ['fault sweep', { ...outcome, held: false }],
  ] as const)

  const again = readOutcomes(reliabilityText(outcomes, Bun.version))

  expect([...again.keys()]).toEqual(['soak', 'fault sweep'])
  expect(again.get('soak')).toEqual({ ...outcome, report: { seeds: 3, faults: ['a / b'] } })
  expect(again.get('fault sweep')?.held).toBe(false)
})

test('each promise names tests that there are, and each count a part of the long run', () => {
  const paths = promises.flatMap(({ tests }) => tests)
  const parts = promises.flatMap(({ counted = {} }) => Object.keys(counted))

  expect(paths.filter((path) => !existsSync(join(projectRoot, path)))).toEqual([])
  expect(parts.filter((name) => !(partNames as readonly string[]).includes(name))).toEqual([])
  expect(promises.length).toBeGreaterThan(10)
})
