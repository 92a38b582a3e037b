/** `npm run docs`: writes openapi.yaml, asyncapi.yaml, the clients' event types and the README's tables from their definitions. */
import { join } from 'node:path'
import { settingsTable } from '../lib/settings.ts'
import { metricsTable } from '../lib/metrics.ts'
import { asyncApiText } from './asyncapi-text.ts'
import { clientTypesText } from './client-types-text.ts'
import { openApiText } from './openapi-text.ts'
import { pythonEventsText } from './python-events-text.ts'

const root = join(import.meta.dir, '..')
await Bun.write(join(root, 'openapi.yaml'), openApiText())
await Bun.write(join(root, 'asyncapi.yaml'), asyncApiText())
await Bun.write(join(root, 'clients/typescript/src/events.ts'), clientTypesText())
await Bun.write(join(root, 'clients/python/lightwire/events.py'), pythonEventsText())
const readme = join(root, 'README.md')
const text = await Bun.file(readme).text()
await Bun.write(
  readme,
  text
    .replace(/\| name \| default \|[^]*?\n(?=\n)/, () => `${settingsTable()}\n`)
    .replace(/\| metric \| kind \|[^]*?\n(?=\n)/, () => `${metricsTable()}\n`),
)
