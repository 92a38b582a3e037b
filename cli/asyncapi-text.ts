/** The text of asyncapi.yaml: the schemas of the socket's messages and events, written out. */
import { asyncApiDocument } from '../lib/http/asyncapi.ts'
import { version } from '../package.json' with { type: 'json' }

export function asyncApiText(): string {
  const document = asyncApiDocument(version)
  return `# Generated from the schemas of messages and events: npm run docs\n${Bun.YAML.stringify(document, null, 2)}\n`
}
