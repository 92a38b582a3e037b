/** `server.ts doctor`: plays a short shoot on a running server and says, point by point, what holds there. */
import { randomBytes } from 'node:crypto'
import type { Config } from '../lib/settings.ts'
import { createDoctorApi } from './doctor-api.ts'
import { createChanges, type Changes } from './doctor-changes.ts'
import { contextOf, needRights, type Context, type Patient } from './doctor-context.ts'
import { closeShoot, decidePhotos, deleteSession } from './doctor-decisions.ts'
import { judgeEvents } from './doctor-events.ts'
import { checkManagement } from './doctor-management.ts'
import { checkRefusals } from './doctor-refusals.ts'
import { createReport, points, type Note, type Report } from './doctor-report.ts'
import { checkServer } from './doctor-server.ts'
import { developPhotos, preparePhotos, queueAndCancel } from './doctor-shoot.ts'
import { checkResume, joinExactly, leave, openLeaver, openWatchers, type Leaver } from './doctor-sockets.ts'
import { checkState, readState, type Snapshot } from './doctor-state.ts'
import type { Watcher } from './doctor-watcher.ts'
import { checkTransports } from './doctor-transports.ts'
import { readOptions, readServerUrl, UsageError } from './options.ts'
import { issueToken } from './token.ts'

/** Longer than any run. */
const TOKEN_LIFE = '10m'
const INTERRUPTED = 130
const loopback: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost'])

/** Exit code 1 when a point does not hold. @throws {UsageError} */
export async function runDoctor(config: Config, words: readonly string[]): Promise<void> {
  const { live, token } = readOptions(words, ['live', 'token'])
  if (live === undefined)
    throw new UsageError('doctor: name the running server, --live http://127.0.0.1:5100')
  const url = readServerUrl('live', live)
  const started = performance.now()
  const report = createReport(console.log, process.stdout.isTTY === true)
  if (token === undefined && !loopback.has(new URL(url).hostname)) {
    // One of ours would be good for everything here; it is not sent to another machine.
    throw new UsageError('doctor: give --token for a server that is not on this machine')
  }
  const place = { url, token: token ?? (await signToken(config)) }
  const whose =
    token === undefined ? `a token signed with this set-up's own key (${TOKEN_LIFE})` : 'the token given'
  console.log(`Lightwire doctor: ${url}, with ${whose}`)

  const patient: Patient = {
    ...place,
    socketUrl: `${url.replace(/^http/, 'ws')}/ws`,
    api: createDoctorApi(place),
    report,
    run: randomBytes(4).toString('hex'),
  }
  // Ctrl-C ends the run, but not before it has taken its session away; a second one ends it at once.
  process.once('SIGINT', () => {
    report.stop()
    process.exitCode = INTERRUPTED
  })
  const rights = await checkServer(patient, { authOff: config.AUTH === 'off' && token === undefined })
  if (rights) await checkTraffic(contextOf(patient, rights))
  console.log(summaryOf(report, performance.now() - started))
  if (report.count('FAILED') > 0) process.exitCode ??= 1
}

function signToken(config: Config): Promise<string> {
  return issueToken(config, ['--subject', 'doctor', '--expires', TOKEN_LIFE])
}

async function checkTraffic(context: Context): Promise<void> {
  using parts = new DisposableStack()
  const changes = createChanges(context.api, context.run)
  const watchers = await openWatchers(context, parts)
  const leaving = await openLeaver(context, parts)
  const { leaver, snapshot, deleted } = await playShoot(context, changes, leaving, parts)

  const end = changes.position()
  // What does not arrive in time is missing in the points that follow; they say it better.
  await Promise.all(watchers.map((watcher) => watcher.reach(end).catch(() => undefined)))
  await judgeEvents(context, changes, watchers, end)
  await checkResume(context, changes, leaver, parts)
  await checkTransports(context, changes.sessionId(), watchers)
  await checkState(context, watchers[0], snapshot, { deleted })
  await checkManagement(context, changes, watchers, parts)
}

interface Played {
  readonly leaver: Leaver | undefined
  readonly snapshot: Snapshot | undefined
  readonly deleted: boolean
}

async function playShoot(
  context: Context,
  changes: Changes,
  leaving: Watcher | undefined,
  parts: DisposableStack,
): Promise<Played> {
  const { report } = context
  let played: Omit<Played, 'deleted'>
  let deleted: true | undefined
  try {
    await joinExactly(context, changes, parts)
    const photos = await preparePhotos(context, changes)
    await queueAndCancel(context, changes, photos?.[2])
    const leaver = await leave(leaving)
    const completed = await developPhotos(context, changes, photos)
    const approved = await decidePhotos(context, changes, completed, photos?.[0])
    await closeShoot(context, changes, approved)
    await checkRefusals(context, changes, approved)
    played = { leaver, snapshot: await readState(context, changes) }
  } finally {
    const remove = async (note: Note) => {
      needRights(context, 'apiRead', 'apiWrite')
      await deleteSession(context, changes, note)
      return true as const
    }
    deleted = await report.check('session deleted', remove, { evenStopped: true })
  }
  return { ...played, deleted: deleted === true }
}

function summaryOf(report: Report, ms: number): string {
  const counts = (['ok', 'FAILED', 'skipped'] as const).map(
    (verdict) => `${report.count(verdict)} ${verdict}`,
  )
  return `${points.length} points: ${counts.join(', ')} in ${(ms / 1000).toFixed(1)} s`
}
