/** `npm run docs`: writes openapi.yaml, asyncapi.yaml and the README's tables of settings and metrics from their definitions. */
import { join } from 'node:path'
import { settingsTable } from '../lib/config.ts'
import { metricsTable } from '../lib/metrics.ts'
import { asyncApiText } from './asyncapi-text.ts'
import { openApiText } from './openapi-text.ts'

const root = join(import.meta.dir, '..')
await Bun.write(join(root, 'openapi.yaml'), openApiText())
await Bun.write(join(root, 'asyncapi.yaml'), asyncApiText())
const readme = join(root, 'README.md')
const text = await Bun.file(readme).text()
await Bun.write(
  readme,
  text
    .replace(/\| name \| default \|[^]*?\n(?=\n)/, () => `${settingsTable()}\n`)
    .replace(/\| metric \| kind \|[^]*?\n(?=\n)/, () => `${metricsTable()}\n`),
)
