/** The demo as a user runs it: a process on a folder of photos, against a server of its own. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatePhoto } from '../../cli/demo-photos.ts'
import { compareRecords } from '../../cli/demo-records.ts'
import { projectRoot, startProcess, tokenOf } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'

setDefaultTimeout(60_000)

const PHOTOS = 24

test('the demo plays a shoot from a folder, and every client saw what the journal holds', async () => {
  using photos = photoFolder()

  const { code, output } = await runDemo(['--photos', photos.path, '--workers', '3'])

  expect(output).toContain(`photos    ${PHOTOS} from ${photos.path}`)
  expect(output).toContain(`jobs      ${PHOTOS} completed by 3 workers, 3 of them after a retry`)
  expect(verdicts(output)).toEqual(['gui', 'web', 'mobile', 'lightroom'])
  expect(code).toBe(0)
})

test('the demo plays twice on a running server and leaves each photo there once, as it is', async () => {
  using photos = photoFolder()
  using data = temporaryFolder()
  await using parts = new AsyncDisposableStack()
  const server = await startProcess({ folder: data.path, limited: true })
  parts.defer(async () => void (await server.kill()))
  const token = await tokenOf(data.path)
  const words = ['--photos', photos.path, '--url', server.url, '--token', token]

  const first = await runDemo(words)
  const second = await runDemo(words)
  const response = await fetch(`${server.url}/api/photos?limit=500`, {
    headers: { Authorization: `Bearer ${token}` },
  })
  const { photos: rows } = (await response.json()) as { photos: Record<string, unknown>[] }

  expect([first.code, second.code]).toEqual([0, 0])
  expect(rows).toHaveLength(PHOTOS)
  expect(new Set(rows.map(({ status }) => status))).toEqual(new Set(['approved', 'rejected']))
  expect(rows.find(({ file_name }) => file_name === 'IMG_0003.jpg')).toMatchObject({
    file_path: join(photos.path, 'second card', 'IMG_0003.jpg'),
    file_size: generatePhoto(3).length,
  })
})

test('a demo that cannot run says why in one line', async () => {
  using empty = temporaryFolder()

  const { code, output } = await runDemo(['--photos', empty.path])

  expect({ code, output }).toEqual({
    code: 1,
    output: `lightwire: there is no image file under ${empty.path}`,
  })
})

test('a record that lacks, repeats, adds or alters an event is not equal to the journal', () => {
  const event = (seq: number, data: object = {}) => ({ type: 'job_created', channel: 'jobs', seq, ...data })
  const journal = [event(1), event(2), event(3, { priority: 5 })]
  const differs = (record: Record<string, unknown>[]) =>
    compareRecords(record, journal, { jobs: 3 }).difference !== undefined

  expect(compareRecords(journal, journal, { jobs: 3 })).toEqual({ events: 3 })
  expect(compareRecords(journal.slice(0, 2), journal, { jobs: 2 })).toEqual({ events: 2 })
  expect(differs(journal.slice(0, 2))).toBe(true)
  expect(differs([event(1), event(1), event(2), event(3, { priority: 5 })])).toBe(true)
  expect(differs([...journal, event(3, { priority: 5 })])).toBe(true)
  expect(differs([event(2), event(1), event(3, { priority: 5 })])).toBe(true)
  expect(differs([event(1), event(2), event(3, { priority: 5, extra: undefined })])).toBe(true)
})

/** Photos in two folders, one of them with a space in its name, beside a file that is no photo. */
function photoFolder(): Disposable & { path: string } {
  const folder = temporaryFolder()
  mkdirSync(join(folder.path, 'second card'))
  for (let n = 0; n < PHOTOS; n += 1) {
    const card = n % 2 === 0 ? folder.path : join(folder.path, 'second card')
    writeFileSync(
      join(card, `IMG_${String(n).padStart(4, '0')}.${n === 4 ? 'NEF' : 'jpg'}`),
      generatePhoto(n),
    )
  }
  writeFileSync(join(folder.path, 'notes.txt'), 'no photo')
  return folder
}

async function runDemo(words: readonly string[]): Promise<{ code: number; output: string }> {
  using data = temporaryFolder()
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
  // PORT=0: no server that happens to run on this machine is taken for the configured one.
  const child = Bun.spawn([process.execPath, 'run', join(projectRoot, 'server.ts'), 'demo', ...words], {
    env: { PATH, HOME, TMPDIR, PORT: '0', DATA_DIR: data.path },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { code, output: (out + err).trim() }
}

/** The client types whose record was equal to the journal's, none of them empty. */
function verdicts(output: string): string[] {
  return [...output.matchAll(/^ {2}(\w+): [1-9]\d* events, equal to the journal$/gm)].map(
    ([, name = '']) => name,
  )
}
