/** An outside issuer's keys, kept: fetched or read again when due, seldom enough that no token can make us hammer the issuer. */
import { open, type FileHandle } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { Refusal } from '../protocol/refusals.ts'
import { requireUnwritable, WeakSetup } from '../weak-setup.ts'
import { KEY_SET_BYTES_MAX, KeySetFault, parseKeySet, type KeySet, type PublicKey } from './key-set.ts'

const FETCH_MS_MAX = 5000
/** How long a start waits for the first set: a signal meanwhile must not wait for more. */
const FIRST_MS_MAX = 2000
/** How old a fetched set gets before it is fetched again. */
const REFRESH_MS = 300_000
/** Least time between two fetches, whatever tokens name. */
const COOL_DOWN_MS = 30_000
/** How long the last good set is kept while the issuer cannot be had. */
const KEEP_MS = 86_400_000
/** Requests that wait for an unknown key at once; what they send is in nobody's bounds yet. */
const WAITING_MAX = 32
const CROWDED = 'the keys of its issuer are being fetched, and too many wait for them'
/** When to come again; and how soon the issuer is asked again of whom there is no set yet. */
const RETRY_MS = 2000

/** What is told to the operator. */
export interface KeySetObserver {
  /** Every attempt. */
  readonly onKeysLoaded: (result: 'ok' | 'failed') => void
  /** Another set than before, the first included. */
  readonly onKeysChanged: (set: {
    readonly kids: readonly string[]
    readonly ignored: readonly string[]
  }) => void
  /** It could not be had, for a reason that was not told just before. */
  readonly onKeysFault: (error: unknown) => void
}

/** The keys of one issuer, by kid. */
export interface IssuerKeys {
  /**
   * Keys for this algorithm, those of that kid where the token names one; asks the issuer for an unknown one.
   * @throws {Refusal} `too_many_connections` while too many wait for that
   */
  find(algorithm: string, kid: string | undefined): Promise<readonly PublicKey[]>
  /** Moves whenever a key may have gone: what was verified before is to be verified again. */
  version(): number
  /** Milliseconds since the issuer last confirmed the set; undefined before. */
  ageMs(): number | undefined
  /** Resolves when the first attempt is over, good or bad, or takes long: before, everybody's key is unknown. */
  readonly firstTried: Promise<void>
  /** To be called every second: loads what is due, lets go of what is too old. */
  refresh(): Promise<void>
}

interface IssuerKeysOptions extends KeySetObserver {
  readonly load: () => Promise<string>
  /** Aborted when the server stops: what fails then is no trouble. */
  readonly stopping: AbortSignal
  readonly monotonicMs: () => number
  readonly refreshMs?: number
  readonly coolDownMs?: number
  readonly keepMs?: number
}

/** Keys from a URL; the first fetch begins at once. */
export function keysFromUrl(url: string, options: Omit<IssuerKeysOptions, 'load'>): IssuerKeys {
  return createIssuerKeys({ ...options, load: () => fetchKeySet(url, options) })
}

/** Keys from a file, looked at every second. */
export function keysFromFile(path: string, options: Omit<IssuerKeysOptions, 'load'>): IssuerKeys {
  return createIssuerKeys({ ...options, load: () => readKeySet(path), refreshMs: 0, coolDownMs: 0 })
}

/** The start's own look at a file: later on a bad one is trouble, at first it is a weak set-up. @throws {WeakSetup} */
export function requireKeyFile(path: string): void {
  let set: KeySet
  try {
    const text = readFileSync(path, 'utf8')
    if (text.length > KEY_SET_BYTES_MAX) throw tooLarge()
    set = parseKeySet(text)
  } catch (error) {
    throw new WeakSetup(`JWKS_FILE: ${error instanceof KeySetFault ? error.message : unreadable(error)}`)
  }
  requireUnwritable(path, 'the file of JWKS_FILE')
  if (set.keys.length > 0) return
  throw new WeakSetup(`JWKS_FILE: no usable key (${set.ignored.join('; ') || 'it is empty'})`)
}

export function createIssuerKeys({
  load,
  stopping,
  monotonicMs,
  refreshMs = REFRESH_MS,
  coolDownMs = COOL_DOWN_MS,
  keepMs = KEEP_MS,
  ...observer
}: IssuerKeysOptions): IssuerKeys {
  let text = ''
  let keys: readonly PublicKey[] = []
  let version = 0
  let confirmedMs: number | undefined
  let triedMs = -Infinity
  let toldFault = ''
  let running: Promise<void> | undefined
  let waiting = 0

  const ageMs = () => (confirmedMs === undefined ? undefined : monotonicMs() - confirmedMs)
  // Without any set everybody is refused: that is over as soon as the issuer is there.
  const mayTry = () => monotonicMs() - triedMs >= (text === '' ? Math.min(RETRY_MS, coolDownMs) : coolDownMs)
  /** Never two at once: a second caller shares the one under way. */
  const reload = () => (running ??= attempt().finally(() => (running = undefined)))
  const firstTried = new Promise<void>((resolve) => {
    void reload().then(resolve)
    // No program lives longer for it.
    setTimeout(resolve, FIRST_MS_MAX).unref()
  })

  return {
    firstTried,
    async find(algorithm, kid) {
      letGo()
      const match = () =>
        keys.filter((key) => key.algorithms.includes(algorithm) && (kid === undefined || key.kid === kid))
      let found = match()
      if (found.length === 0 && (running || mayTry())) {
        // Their tokens may be good: another token is no remedy.
        if (waiting >= WAITING_MAX)
          throw new Refusal('too_many_connections', CROWDED, { retryAfterMs: RETRY_MS })
        waiting += 1
        await reload().finally(() => (waiting -= 1))
        found = match()
      }
      return found
    },
    version: () => version,
    ageMs,
    async refresh() {
      letGo()
      if ((ageMs() ?? Infinity) >= refreshMs && mayTry()) await reload()
    },
  }

  async function attempt(): Promise<void> {
    triedMs = monotonicMs()
    try {
      const loaded = await load()
      if (loaded !== text) adopt(parseKeySet(loaded))
      text = loaded
      confirmedMs = monotonicMs()
      toldFault = ''
      observer.onKeysLoaded('ok')
    } catch (error) {
      if (stopping.aborted) return
      observer.onKeysLoaded('failed')
      const fault = String(error)
      if (fault !== toldFault) observer.onKeysFault(error)
      toldFault = fault
    }
  }

  function adopt(set: KeySet): void {
    keys = set.keys
    version += 1
    observer.onKeysChanged({ kids: keys.map(({ kid = '' }) => kid), ignored: set.ignored })
  }

  /** Keys that nobody confirmed for so long may have been withdrawn long ago. */
  function letGo(): void {
    if (keys.length === 0 || (ageMs() ?? 0) < keepMs) return
    text = ''
    adopt({ keys: [], ignored: ['all: not confirmed for too long'] })
  }
}

interface FetchLimits {
  readonly stopping: AbortSignal
  readonly fetchMsMax?: number
}

/** One answer of the issuer, bounded in time and size, from nowhere else than that URL. @throws {KeySetFault} */
export async function fetchKeySet(
  url: string,
  { stopping, fetchMsMax = FETCH_MS_MAX }: FetchLimits,
): Promise<string> {
  const response = await fetch(url, {
    redirect: 'manual',
    // What is unpacked could be much larger than what came.
    headers: { Accept: 'application/jwk-set+json, application/json', 'Accept-Encoding': 'identity' },
    decompress: false,
    signal: AbortSignal.any([AbortSignal.timeout(fetchMsMax), stopping]),
  })
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel()
    throw new KeySetFault(`the issuer answered ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body) {
    bytes += chunk.length
    if (bytes > KEY_SET_BYTES_MAX) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

async function readKeySet(path: string): Promise<string> {
  let file: FileHandle | undefined
  try {
    file = await open(path)
    const { size } = await file.stat()
    if (size > KEY_SET_BYTES_MAX) throw tooLarge()
    return await file.readFile('utf8')
  } catch (error) {
    throw error instanceof KeySetFault ? error : new KeySetFault(unreadable(error))
  } finally {
    await file?.close()
  }
}

function unreadable(error: unknown): string {
  return `the file cannot be read (${(error as { code?: string }).code})`
}

function tooLarge(): KeySetFault {
  return new KeySetFault(`larger than ${KEY_SET_BYTES_MAX} bytes`)
}
