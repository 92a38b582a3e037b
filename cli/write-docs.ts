/** `npm run docs`: writes openapi.yaml and the README's table of settings from their definitions. */
import { join } from 'node:path'
import { settingsTable } from '../lib/config.ts'
import { openApiText } from './openapi-text.ts'

const root = join(import.meta.dir, '..')
await Bun.write(join(root, 'openapi.yaml'), openApiText())
const readme = join(root, 'README.md')
const text = await Bun.file(readme).text()
await Bun.write(
  readme,
  text.replace(/\| name \| default \|[^]*?\n(?=\n)/, () => `${settingsTable()}\n`),
)
