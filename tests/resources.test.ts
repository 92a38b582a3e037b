/** The sampler of the machine's resources measures what the machine's own tools say. */
import { expect, test } from 'bun:test'
import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createResourceSampler } from '../lib/resources.ts'

test('CPU is measured between two samples, memory and disk at each', async () => {
  const sample = createResourceSampler(tmpdir())

  const first = await sample()
  const until = performance.now() + 100
  while (performance.now() < until);
  const second = await sample()

  const { blocks, bfree, bavail } = statfsSync(tmpdir())
  expect(first.cpu).toBeUndefined()
  expect(second.cpu).toBeGreaterThan(0)
  expect(second.cpu).toBeLessThanOrEqual(100)
  expect(second.memory).toBeGreaterThan(0)
  expect(second.memory).toBeLessThan(100)
  expect(second.disk).toBeCloseTo(((blocks - bfree) / (blocks - bfree + bavail)) * 100, 0)
})

test('a folder that is gone leaves the disk out and hinders nothing', async () => {
  const sample = createResourceSampler(join(tmpdir(), 'not-there'))

  const { memory, disk } = await sample()

  expect(disk).toBeUndefined()
  expect(memory).toBeGreaterThan(0)
})
