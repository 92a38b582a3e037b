/** The signing key: from the setting, or generated once into the data folder, readable by its owner only. */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

const SECRET_BYTES = 48
const OTHERS = 0o077

/** A set-up that is too weak to start with; the message is one line. */
export class WeakSetup extends Error {
  override readonly name = 'WeakSetup'
}

/** The HS256/384/512 key. @throws {WeakSetup} when the stored secret is short or others can read it */
export function loadKey(dataFolder: string, configured: string | undefined): Uint8Array {
  const secret = configured ?? readOrCreate(dataFolder)
  return new TextEncoder().encode(secret)
}

function readOrCreate(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = join(folder, 'secret')
  if (!existsSync(path)) createSecret(path)
  if ((statSync(path).mode & OTHERS) !== 0) {
    throw new WeakSetup('the file "secret" in DATA_DIR can be read by others; make it mode 0600 and restart')
  }
  const secret = readFileSync(path, 'utf8').trim()
  if (Buffer.byteLength(secret) < 32) {
    throw new WeakSetup('the file "secret" in DATA_DIR holds fewer than 32 bytes')
  }
  return secret
}

/** Written and synced under another name first: a full disk or a kill leaves no half of a secret behind. */
function createSecret(path: string): void {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const descriptor = openSync(draft, 'wx', 0o600)
    try {
      writeSync(descriptor, randomBytes(SECRET_BYTES).toString('base64url'))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    // A link never replaces: two first starts at once agree on the secret of whoever came first.
    linkSync(draft, path)
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft, { force: true })
  }
}
