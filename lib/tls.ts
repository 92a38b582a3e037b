/** The certificate and key of TLS_CERT and TLS_KEY: read once, and looked at before anything listens. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Config } from './settings.ts'
import { requireClosed, WeakSetup } from './weak-setup.ts'

/** PEM texts, as Bun.serve takes them. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
}

/** Undefined where the server speaks plain HTTP. @throws {WeakSetup} for files that could not serve, or a key that others can read */
export function loadTls({ TLS_CERT, TLS_KEY }: Pick<Config, 'TLS_CERT' | 'TLS_KEY'>): TlsFiles | undefined {
  if (TLS_CERT === undefined || TLS_KEY === undefined) return undefined
  const cert = read('TLS_CERT', TLS_CERT)
  const key = read('TLS_KEY', TLS_KEY)
  requireClosed(TLS_KEY, 'the file of TLS_KEY', '0600')
  const certificate = parse('TLS_CERT', 'a PEM certificate', () => new X509Certificate(cert))
  const privateKey = parse<KeyObject>('TLS_KEY', 'a PEM private key without a passphrase', () =>
    createPrivateKey(key),
  )
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new WeakSetup('TLS_KEY: it is not the key of the (first) certificate in TLS_CERT')
  }
  return { cert, key }
}

function read(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new WeakSetup(`${name}: the file cannot be read (${(error as { code?: string }).code})`)
  }
}

function parse<T>(name: string, expected: string, make: () => T): T {
  try {
    return make()
  } catch {
    throw new WeakSetup(`${name}: the file holds no ${expected.replace(/^an? /, '')}`)
  }
}
