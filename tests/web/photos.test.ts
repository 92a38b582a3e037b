/** Photos as the approval queue shows them, in whatever shape they come. */
import { expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import sharp from 'sharp'
import { needs } from '../support/needs.ts'
import { temporaryFolder } from '../support/server.ts'
import { desk, develop, openView, phone, startStudio, type Photo } from './studio.ts'

setDefaultTimeout(120_000)

const shapes = { portrait: [400, 1000], landscape: [1500, 500], square: [600, 600] } as const

needs('chromium')('a photo of any shape is seen whole, on a desk and on a phone', async ({ chromium }) => {
  using folder = temporaryFolder()
  const paths = Object.entries(shapes).map(([name, [width, height]]) => ({ name, width, height }))
  for (const { name, width, height } of paths) {
    const image = sharp({ create: { width, height, channels: 3, background: '#2266aa' } })
    await image.jpeg().toFile(join(folder.path, `${name}.jpg`))
  }
  await using studio = await startStudio(chromium, { PHOTO_FOLDERS: folder.path })
  const files = paths.map(({ name }) => ({ file_path: join(folder.path, `${name}.jpg`) }))
  const { body } = await studio.api<{ photos: Photo[] }>('POST', '/api/photos', files)
  await develop(studio.api, body.photos)

  for (const device of [desk, phone]) {
    const page = await studio.open(device)
    await openView(page, 'Approval')
    for (const [index] of paths.entries()) await page.locator('.preview img').nth(index).waitFor()

    const cut = await page.evaluate<string[]>(`[...document.querySelectorAll('.preview')].flatMap((box) => {
      const [outer, inner] = [box, box.querySelector('img')].map((element) => element.getBoundingClientRect())
      return inner.height > outer.height + 1 || inner.width > outer.width + 1 ? [inner.width + '×' + inner.height] : []
    })`)
    expect(cut).toEqual([])
  }
})
