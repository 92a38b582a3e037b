/** Set-ups too weak to start with, each as a process: exit code 1 and one line that says what is wrong. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../support/process.ts'
import { temporaryFolder } from '../support/server.ts'
import { makeCertificate } from './certificate.ts'
import { ecPair, jwkOf } from './forge.ts'

setDefaultTimeout(60_000)

const trust = { JWT_ISSUER: 'https://id.example', JWT_AUDIENCE: 'lightwire' }

interface Weak {
  readonly name: string
  /** Makes what is weak in a folder that is safe. */
  readonly make: (folder: string) => Record<string, string>
  readonly line: RegExp
}

/** A file in the folder, for its owner only. */
function file(folder: string, name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content, { mode: 0o600 })
  return path
}

const weak: readonly Weak[] = [
  {
    name: 'a data folder that is a file',
    make: (folder) => ({ DATA_DIR: file(folder, 'data', '') }),
    line: /^the folder of DATA_DIR is a file, not a folder$/,
  },
  {
    name: 'a short secret',
    make: () => ({ JWT_SECRET: 'x'.repeat(31) }),
    line: /^JWT_SECRET=\*\*\*: expected at least 32 bytes/,
  },
  {
    name: 'a short previous secret',
    make: () => ({ JWT_SECRET: 'x'.repeat(32), JWT_PREVIOUS_SECRET: 'y' }),
    line: /^JWT_PREVIOUS_SECRET=\*\*\*: expected at least 32 bytes/,
  },
  {
    name: 'keys of no issuer in particular',
    make: () => ({ JWKS_URL: 'https://id.example/keys', JWT_AUDIENCE: 'lightwire' }),
    line: /^JWKS_URL needs JWT_ISSUER and JWT_AUDIENCE/,
  },
  {
    name: 'keys for no audience',
    make: (folder) => ({ JWKS_FILE: file(folder, 'keys.json', '{}'), JWT_ISSUER: 'https://id.example' }),
    line: /^JWKS_FILE needs JWT_ISSUER and JWT_AUDIENCE/,
  },
  {
    name: 'keys over plain HTTP',
    make: () => ({ ...trust, JWKS_URL: 'http://id.example/keys' }),
    line: /^JWKS_URL="http:\/\/id.example\/keys": expected an https URL/,
  },
  {
    name: 'keys from a file URL',
    make: () => ({ ...trust, JWKS_URL: 'file:///etc/passwd' }),
    line: /^JWKS_URL="file:.*expected an https URL/,
  },
  {
    name: 'two sources of keys',
    make: (folder) => ({
      ...trust,
      JWKS_URL: 'https://id.example/keys',
      JWKS_FILE: join(folder, 'keys.json'),
    }),
    line: /^JWKS_URL and JWKS_FILE: set one of them/,
  },
  {
    name: 'a key file that is not there',
    make: (folder) => ({ ...trust, JWKS_FILE: join(folder, 'none') }),
    line: /^JWKS_FILE: the file cannot be read \(ENOENT\)/,
  },
  {
    name: 'a key file that is none',
    make: (folder) => ({ ...trust, JWKS_FILE: file(folder, 'k', '{"keys":') }),
    line: /^JWKS_FILE: no JSON/,
  },
  {
    name: 'a key file with a private and a symmetric key only',
    make: (folder) => ({
      ...trust,
      JWKS_FILE: file(
        folder,
        'k',
        JSON.stringify({ keys: [jwkOf(ecPair().privateKey), { kty: 'oct', k: 'eA' }] }),
      ),
    }),
    line: /^JWKS_FILE: no usable key \(keys\.0: it is a private key; keys\.1: kty is none of RSA, EC, OKP\)/,
  },
  {
    name: 'a key file that all may write',
    make(folder) {
      const path = file(folder, 'k', JSON.stringify({ keys: [jwkOf(ecPair().publicKey)] }))
      chmodSync(path, 0o666)
      return { ...trust, JWKS_FILE: path }
    },
    line: /^the file of JWKS_FILE can be written by every user of this machine/,
  },
  {
    name: 'no tokens on every address',
    make: () => ({ AUTH: 'off', HOST: '0.0.0.0' }),
    line: /^AUTH="off" is allowed only on a loopback address/,
  },
  {
    name: 'a data folder that all may enter',
    make(folder) {
      mkdirSync(join(folder, 'data'))
      chmodSync(join(folder, 'data'), 0o755)
      return { DATA_DIR: join(folder, 'data') }
    },
    line: /^the folder of DATA_DIR is open to every user of this machine; make it mode 0700/,
  },
  {
    name: 'a stored secret that a group may read',
    make(folder) {
      chmodSync(file(folder, 'secret', 's'.repeat(64)), 0o640)
      return {}
    },
    line: /^the file "secret" in DATA_DIR can be read by others; make it mode 0600/,
  },
  {
    name: 'a scope that there is not',
    make: () => ({ LOCAL_SCOPE: 'api:reed' }),
    line: /^LOCAL_SCOPE: there is no scope "api:reed"/,
  },
  {
    name: 'a certificate without its key',
    make: () => ({ TLS_CERT: 'cert.pem' }),
    line: /^TLS_CERT and TLS_KEY: set both or none/,
  },
  {
    name: 'a TLS key that all may read',
    make(folder) {
      const { cert, key } = makeCertificate(folder)
      chmodSync(key, 0o644)
      return { TLS_CERT: cert, TLS_KEY: key }
    },
    line: /^the file of TLS_KEY is open to every user of this machine; make it mode 0600/,
  },
  {
    name: 'the key of another certificate',
    make(folder) {
      const { cert } = makeCertificate(folder, 'one')
      const { key } = makeCertificate(folder, 'other')
      return { TLS_CERT: cert, TLS_KEY: key }
    },
    line: /^TLS_KEY: it is not the key of the \(first\) certificate/,
  },
  {
    name: 'a certificate that is none',
    make: (folder) => ({ TLS_CERT: file(folder, 'c', 'x'), TLS_KEY: file(folder, 'k', 'x') }),
    line: /^TLS_CERT: the file holds no PEM certificate/,
  },
]

test.each(weak.map(({ name, ...row }) => [name, row] as const))(
  '%s does not start, and check says so',
  async (_, { make, line }) => {
    using folder = temporaryFolder()
    const env = { DATA_DIR: folder.path, ...make(folder.path) }

    const [start, check] = await Promise.all([run(env), run(env, 'check')])

    expect(start.code).toBe(1)
    expect(start.stdout).toEqual([])
    expect(start.stderr).toEqual([expect.stringMatching(/^lightwire: /)])
    expect(start.stderr[0]?.slice('lightwire: '.length)).toMatch(line)
    expect([check.code, check.stderr]).toEqual([1, start.stderr])
  },
)

test('check names every weakness at once, after the settings', async () => {
  using folder = temporaryFolder()
  chmodSync(folder.path, 0o755)
  const { code, stdout, stderr } = await run(
    { ...trust, DATA_DIR: folder.path, JWKS_FILE: join(folder.path, 'none'), LOCAL_SCOPE: 'all' },
    'check',
  )

  expect(code).toBe(1)
  expect(stdout).toContain('JWT_AUDIENCE=lightwire')
  expect(stderr).toHaveLength(3)
})

test('an address that is none of this machine is said to be one of HOST and PORT, not of the data', async () => {
  using folder = temporaryFolder()
  const { code, stderr } = await run({ DATA_DIR: folder.path, HOST: '192.0.2.1', JWT_SECRET: 'x'.repeat(32) })

  expect(code).toBe(1)
  expect(stderr).toEqual([
    expect.stringMatching(/^lightwire: HOST and PORT are no address to listen on here: EADDRNOTAVAIL/),
  ])
})

test('check finds nothing in a sound set-up, and leaves no file behind', async () => {
  using folder = temporaryFolder()
  const { code, stderr } = await run({ DATA_DIR: join(folder.path, 'new') }, 'check')

  expect([code, stderr]).toEqual([0, []])
  expect(existsSync(join(folder.path, 'new'))).toBe(false)
})

test('a group may be let into the data folder, and hold the TLS key', async () => {
  using folder = temporaryFolder()
  const { cert, key } = makeCertificate(folder.path)
  chmodSync(key, 0o640)
  chmodSync(folder.path, 0o750)

  const { code, stderr } = await run({ DATA_DIR: folder.path, TLS_CERT: cert, TLS_KEY: key }, 'check')

  expect([code, stderr]).toEqual([0, []])
})

test('without a secret the token command says so in one line', async () => {
  using folder = temporaryFolder()
  const keys = file(folder.path, 'k', JSON.stringify({ keys: [jwkOf(ecPair().publicKey)] }))

  const { code, stdout, stderr } = await run({ ...trust, JWKS_FILE: keys, DATA_DIR: folder.path }, 'token')

  expect([code, stdout]).toEqual([1, []])
  expect(stderr).toEqual([expect.stringContaining('no JWT_SECRET to sign with')])
})

/** Runs a command to its end: exit code, and what it wrote by line. */
async function run(env: Record<string, string>, ...words: string[]) {
  const { PATH = '', HOME = '' } = process.env
  const child = Bun.spawn([process.execPath, 'run', join(projectRoot, 'server.ts'), ...words], {
    cwd: projectRoot,
    env: { PATH, HOME, PORT: '0', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  // One that starts after all must not hold the tests up.
  const timer = setTimeout(() => child.kill(), 20_000)
  const lines = async (stream: ReadableStream<Uint8Array>) =>
    (await new Response(stream).text()).split('\n').filter((line) => line !== '')
  const [stdout, stderr, code] = await Promise.all([lines(child.stdout), lines(child.stderr), child.exited])
  clearTimeout(timer)
  return { stdout, stderr, code }
}
