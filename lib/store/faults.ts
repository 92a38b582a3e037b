/** Tells faults of disk and database, after which a client may come again, from bugs of ours. */
import { Refusal } from '../protocol/refusals.ts'

const RETRY_AFTER_MS = 1000
const sqliteFaults = /^SQLITE_(FULL|IOERR|READONLY|CANTOPEN|BUSY|LOCKED|CORRUPT|NOTADB|NOMEM|PROTOCOL)/
/** SQLSTATE classes: 08 connection, 25006 read-only, 40 rollback, 53 resources, 57P operator, 58 system. */
const postgresFaults = /^(08|25006|40|53|57P|58)/
const systemFaults = /^E[A-Z]{2,}$/
/** pg gives broken connections no code. */
const connectionFaults =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/

export function isStorageFault(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof Refusal) return false
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return (
    [sqliteFaults, postgresFaults, systemFaults].some((faults) => faults.test(code)) ||
    connectionFaults.test(error.message)
  )
}

/**
 * Whether a sync failed. The kernel may have dropped what it could not write and say yes to the next sync, so
 * nothing that was written since the last good one can be relied on, and no retry can tell.
 */
export function isSyncFault(error: unknown): boolean {
  const fault = error instanceof Refusal ? error.cause : error
  if (!(fault instanceof Error)) return false
  const { code, syscall } = fault as { readonly code?: string; readonly syscall?: string }
  return /^SQLITE_IOERR_(DIR_)?FSYNC$/.test(code ?? '') || /^f(data)?sync$/.test(syscall ?? '')
}

/**
 * Ends the process after a failed sync. A proper exit would close the database, which checkpoints it and syncs again:
 * a second sync that succeeds would remove the log, the only good copy of what the first could not write.
 */
export function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL')
}

/** `storage_unavailable`, with the fault as its cause for the log. */
export function storageRefusal(cause: unknown): Refusal {
  return new Refusal('storage_unavailable', 'the database cannot do it now; come again', {
    cause,
    retryAfterMs: RETRY_AFTER_MS,
  })
}
