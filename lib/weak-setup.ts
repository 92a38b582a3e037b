/** A set-up that is too weak to start with, and who else may read what must stay private. */
import { statSync } from 'node:fs'

/** Bits of group and others, and of others alone. */
const ANYONE_ELSE = 0o077
const OTHERS = 0o007
const OTHERS_WRITE = 0o002

/** The message is one line that names the setting and says what would do. */
export class WeakSetup extends Error {
  override readonly name = 'WeakSetup'
}

/** A secret is for its owner alone. @throws {WeakSetup} */
export function requireOwnersOnly(path: string, what: string): void {
  if ((modeOf(path) & ANYONE_ELSE) === 0) return
  throw new WeakSetup(`${what} can be read by others; make it mode 0600 and restart`)
}

/** A group may be let in on purpose (a backup, a group that holds certificates); others never. @throws {WeakSetup} */
export function requireClosed(path: string, what: string, mode: '0600' | '0700'): void {
  if (mode === '0700' && !statSync(path).isDirectory()) throw new WeakSetup(`${what} is a file, not a folder`)
  if ((modeOf(path) & OTHERS) === 0) return
  throw new WeakSetup(`${what} is open to every user of this machine; make it mode ${mode} and restart`)
}

/** Whoever could write keys into it could sign anything. @throws {WeakSetup} */
export function requireUnwritable(path: string, what: string): void {
  if ((modeOf(path) & OTHERS_WRITE) === 0) return
  throw new WeakSetup(`${what} can be written by every user of this machine; make it mode 0644 and restart`)
}

/** Windows has no such bits and shows all of them set. */
function modeOf(path: string): number {
  return process.platform === 'win32' ? 0 : statSync(path).mode
}
