/** Thumbnails: made of photo files inside the folders that are allowed, and of nothing else on the disk. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { mkdirSync, renameSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { createThumbnails } from '../../lib/http/thumbnails.ts'
import { Refusal } from '../../lib/protocol/refusals.ts'
import { startTestServer, temporaryFolder, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const picture = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#2266aa' } })

function studio() {
  const folder = temporaryFolder()
  const photos = join(folder.path, 'photos')
  mkdirSync(photos)
  mkdirSync(join(folder.path, 'photos-of-others'))
  return { ...folder, photos, others: join(folder.path, 'photos-of-others') }
}

/** A sound picture of a few kilobytes, one bit a pixel, that takes hundreds of megabytes when it is decoded. */
function blackPng(edge: number): Buffer {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(edge, 0)
  header.writeUInt32BE(edge, 4)
  header[8] = 1
  const pixels = deflateSync(Buffer.alloc((edge / 8 + 1) * edge))
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', new Uint8Array()),
  ])
}

async function importFile(server: TestServer, file_path: string, session_id?: number): Promise<number> {
  const { body } = await server.api<{ id: number }>('POST', '/api/photos', { file_path, session_id })
  return body.id
}

const ask = (server: TestServer, id: number, query = '', headers: Record<string, string> = {}) =>
  fetch(`${server.url}/api/photos/${id}/thumbnail${query}`, {
    headers: { Authorization: `Bearer ${server.token}`, ...headers },
  })

test('a photo of any usual format becomes a small image, the right way up and without its metadata', async () => {
  using folder = studio()
  await using server = await startTestServer({ PHOTO_FOLDERS: [folder.photos] })
  const files: [name: string, bytes: Buffer][] = [
    [
      'a.jpg',
      await picture(1200, 600)
        .withExif({ IFD0: { Copyright: 'somebody' } })
        .jpeg()
        .toBuffer(),
    ],
    ['a.png', await picture(1200, 600).png().toBuffer()],
    ['a.webp', await picture(1200, 600).webp().toBuffer()],
    ['a.tif', await picture(1200, 600).tiff().toBuffer()],
    ['a.avif', await picture(1200, 600).avif({ effort: 0 }).toBuffer()],
    // Held upright: shown as 600 × 1200.
    ['upright.jpg', await picture(1200, 600).withMetadata({ orientation: 6 }).jpeg().toBuffer()],
    ['tiny.jpg', await picture(20, 10).jpeg().toBuffer()],
  ]

  const shown: [string, number, string | null, number?, number?, unknown?][] = []
  for (const [name, bytes] of files) {
    writeFileSync(join(folder.photos, name), bytes)
    const answer = await ask(server, await importFile(server, join(folder.photos, name)))
    const { width, height, exif, format } = await sharp(await answer.arrayBuffer()).metadata()
    expect(format).toBe('webp')
    shown.push([name, answer.status, answer.headers.get('content-type'), width, height, exif])
  }
  const large = await ask(server, 1, '?size=640')
  const wrong = await ask(server, 1, '?size=5000')

  const usual = (name: string, width = 320, height = 160) => [
    name,
    200,
    'image/webp',
    width,
    height,
    undefined,
  ]
  expect(shown).toEqual([
    ...['a.jpg', 'a.png', 'a.webp', 'a.tif', 'a.avif'].map((name) => usual(name)),
    usual('upright.jpg', 160, 320),
    usual('tiny.jpg', 20, 10),
  ] as typeof shown)
  expect((await sharp(await large.arrayBuffer()).metadata()).width).toBe(640)
  expect([wrong.status, ((await wrong.json()) as { code: string }).code]).toEqual([400, 'invalid_message'])
})

test('a client keeps its thumbnail until the file changes, and asks each time', async () => {
  using folder = studio()
  await using server = await startTestServer({ PHOTO_FOLDERS: [folder.photos] })
  const path = join(folder.photos, 'a.jpg')
  writeFileSync(path, await picture(400, 400).jpeg().toBuffer())
  const id = await importFile(server, path)

  const first = await ask(server, id)
  const etag = first.headers.get('etag') ?? ''
  const again = await ask(server, id, '', { 'If-None-Match': etag })
  const stranger = await fetch(`${server.url}/api/photos/${id}/thumbnail`, {
    headers: { 'If-None-Match': etag },
  })
  writeFileSync(path, await picture(200, 400).jpeg().toBuffer())
  utimesSync(path, 1, 1)
  const changed = await ask(server, id, '', { 'If-None-Match': etag })

  expect([first.status, again.status, stranger.status, changed.status]).toEqual([200, 304, 401, 200])
  expect(first.headers.get('cache-control')).toBe('private, no-cache')
  expect(first.headers.get('vary')).toContain('Authorization')
  expect((await sharp(await changed.arrayBuffer()).metadata()).width).toBe(160)
})

test('whatever may not or cannot be shown is answered alike, and nothing outside is read', async () => {
  using folder = studio()
  await using server = await startTestServer({ PHOTO_FOLDERS: [folder.photos] })
  const jpeg = await picture(400, 400).jpeg().toBuffer()
  const put = (at: string, bytes: Uint8Array | string) => {
    writeFileSync(at, bytes)
    return at
  }
  const inside = (name: string) => join(folder.photos, name)
  const outside = put(join(folder.others, 'private.jpg'), jpeg)
  symlinkSync(outside, inside('link.jpg'))
  symlinkSync(folder.others, inside('linked'))
  put(inside('large.jpg'), jpeg)
  truncateSync(inside('large.jpg'), 134_217_729)
  Bun.spawnSync(['mkfifo', inside('pipe.jpg')])
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
  const bomb = blackPng(20_000)
  const paths = [
    outside,
    inside('link.jpg'),
    inside('linked/private.jpg'),
    `${folder.photos}/../photos-of-others/private.jpg`,
    inside('missing.jpg'),
    inside('large.jpg'),
    inside('pipe.jpg'),
    put(inside('a.svg'), svg),
    put(inside('named.jpg'), svg),
    put(inside('text.jpg'), 'no picture'),
    put(inside('cut.jpg'), jpeg.subarray(0, jpeg.length / 2)),
    put(inside('bomb.png'), bomb),
    put(inside('empty.jpg'), ''),
    folder.photos,
    'a.jpg',
    'https://example.com/a.jpg',
  ]

  const bodies = new Map<string, string>()
  for (const path of paths) {
    const answer = await ask(server, await importFile(server, path))
    bodies.set(path, `${answer.status} ${await answer.text()}`)
  }

  expect([...bodies].filter(([, body]) => body !== bodies.get(outside))).toEqual([])
  expect(bodies.get(outside)).toStartWith('404 ')
  expect(bodies.get(outside)).toContain('"code":"no_preview"')
  expect(bodies.get(outside)).not.toContain(folder.path)
  // What lies inside is shown: the others were refused for what they are.
  const good = [put(inside('good.jpg'), jpeg), put(inside('black.png'), blackPng(800))]
  for (const path of good) expect((await ask(server, await importFile(server, path))).status).toBe(200)
})

test('without PHOTO_FOLDERS no file is read', async () => {
  using folder = studio()
  await using server = await startTestServer()
  const path = join(folder.photos, 'a.jpg')
  writeFileSync(path, await picture(400, 400).jpeg().toBuffer())

  const { status } = await ask(server, await importFile(server, path))

  expect(status).toBe(404)
})

test('a grant on a session shows the thumbnails of its photos and no others', async () => {
  using folder = studio()
  await using server = await startTestServer({ PHOTO_FOLDERS: [folder.photos] })
  const ids: number[] = []
  for (const session of [1, 2]) {
    await server.api('POST', '/api/sessions', { name: String(session), import_folder: '/x' })
    const path = join(folder.photos, `${session}.jpg`)
    writeFileSync(path, await picture(40, 40).jpeg().toBuffer())
    ids.push(await importFile(server, path, session))
  }
  const grants = [{ channel: 'photos', where: { session_id: 1 } }] as const
  const token = await server.server.issueToken({
    subject: 'client',
    scope: '',
    grants: [...grants],
    expiresInMs: 60_000,
  })

  const statuses = await Promise.all(
    ids.map(async (id) => (await ask(server, id, '', { Authorization: `Bearer ${token}` })).status),
  )

  expect(statuses).toEqual([200, 404])
})

test('only so many wait for their turn; the rest is told to come again, and a file is decoded once for all', async () => {
  using folder = studio()
  const jpeg = await picture(40, 40).jpeg().toBuffer()
  const paths = Array.from({ length: 210 }, (_, at) => join(folder.photos, `${at}.jpg`))
  for (const path of paths) writeFileSync(path, jpeg)
  const thumbnails = createThumbnails({
    folders: [folder.photos],
    onBug: (error) => {
      throw error
    },
  })
  const found = await Promise.all(paths.map((path) => thumbnails.find(path, '160')))

  const outcomes = await Promise.all(
    [...found, ...found.slice(0, 5)].map((one) =>
      one.bytes().then(
        (bytes) => bytes,
        (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
      ),
    ),
  )
  const refused = outcomes.filter((outcome) => outcome === 'rate_limited')
  const again = await found[0]?.bytes()

  // Two at work, two hundred waiting.
  expect(refused.length).toBe(210 - 202)
  expect(outcomes.filter((outcome) => typeof outcome === 'string').length).toBe(refused.length)
  expect(outcomes[210]).toBe(outcomes[0] as never)
  // From the cache now, though the file is gone.
  renameSync(paths[0] ?? '', join(folder.others, '0.jpg'))
  expect(again).toBe(outcomes[0] as never)
})
