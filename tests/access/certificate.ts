/** A certificate of our own for 127.0.0.1 and localhost, made by openssl. */
import { join } from 'node:path'
import { tools } from '../support/tools.ts'

export interface Certificate {
  /** Paths of PEM files. */
  readonly cert: string
  readonly key: string
}

/** @throws where openssl is missing or refuses */
export function makeCertificate(folder: string, name = 'server'): Certificate {
  const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)]
  const fresh = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  const made = Bun.spawnSync(
    [tools.openssl ?? 'openssl', 'req', '-x509', ...fresh, ...subject, '-days', '2', '-out', cert],
    { stderr: 'pipe' },
  )
  if (!made.success) throw new Error(`openssl: ${made.stderr.toString()}`)
  return { cert, key }
}
