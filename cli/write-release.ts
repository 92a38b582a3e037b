/** `npm run docs:released`: keeps the wire of this version in docs/released, once per release; what is kept is not written again. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { version } from '../package.json' with { type: 'json' }
import { describeWire, wireText } from './wire-description.ts'

const folder = join(import.meta.dir, '..', 'docs', 'released')
const file = join(folder, `v${version}.jsonl`)
if (existsSync(file)) {
  process.stderr.write(
    `lightwire: docs/released/v${version}.jsonl is there; raise the version in package.json first\n`,
  )
  process.exit(1)
}
mkdirSync(folder, { recursive: true })
await Bun.write(file, wireText(describeWire()))
