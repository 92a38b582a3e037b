/** The signing key: from the setting, or generated once into the data folder, readable by its owner only. */
import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
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
  try {
    // Exclusive: two first starts at once agree on the secret of whoever came first.
    const descriptor = openSync(path, 'wx', 0o600)
    const secret = randomBytes(SECRET_BYTES).toString('base64url')
    writeSync(descriptor, secret)
    fsyncSync(descriptor)
    closeSync(descriptor)
    return secret
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error
  }
  if ((statSync(path).mode & OTHERS) !== 0) {
    throw new WeakSetup('the file "secret" in DATA_DIR can be read by others; make it mode 0600 and restart')
  }
  const secret = readFileSync(path, 'utf8').trim()
  if (Buffer.byteLength(secret) < 32)
    throw new WeakSetup('the file "secret" in DATA_DIR holds fewer than 32 bytes')
  return secret
}
