/** What every part of the doctor is handed: the server under test, its report, and what the token may do there. */
import type { Rights } from '../lib/access/rights.ts'
import { channels, type Channel } from '../lib/protocol/events.ts'
import type { Place } from './rest-client.ts'
import type { DoctorApi } from './doctor-api.ts'
import { need, type Report } from './doctor-report.ts'

export interface Patient extends Place {
  /** `ws://…/ws` */
  readonly socketUrl: string
  readonly api: DoctorApi
  readonly report: Report
  /** Names what this run leaves there; 8 hexadecimal digits. */
  readonly run: string
}

export interface Context extends Patient {
  readonly rights: Rights
  /** Those that the token lets read, in alphabetic order. */
  readonly channels: readonly Channel[]
}

export function contextOf(patient: Patient, rights: Rights): Context {
  return { ...patient, rights, channels: channels.filter((channel) => rights.read.has(channel)) }
}

/** Label of the clients that this run attaches; a second one is beside them. */
export function clientTypesOf({ run }: Pick<Patient, 'run'>) {
  return { own: `doctor-${run}`, aside: `doctor-${run}-aside` }
}

/** @throws {NotTried} naming the scope that is missing */
export function needRights(
  { rights }: Context,
  ...names: readonly ('apiRead' | 'apiWrite' | 'admin')[]
): void {
  const scopes = { apiRead: 'api:read', apiWrite: 'api:write', admin: 'admin' }
  for (const name of names) need(rights[name] || undefined, `token has no ${scopes[name]}`)
}

/** @throws {NotTried} where the token lets read no channel */
export function needChannels({ channels: granted }: Context): readonly Channel[] {
  return need(granted.length > 0 ? granted : undefined, 'token has no events:read')
}
