/** One command after the other: each answer, its events and every row after it are as the model says. */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import type { Draft } from '../../lib/protocol/events.ts'
import type { Message } from '../support/client.ts'
import { buildOf, expiryOf, opening, textOf, type Step } from './commands.ts'
import * as invariants from './invariants.ts'
import { expire } from './job-rules.ts'
import { Model, type Fields } from './model.ts'
import type { Operation, Subject } from './operations.ts'
import { draftOf, State, type Job } from './state.ts'
import { startWorld, type Answered, type StartServer, type World } from './world.ts'
import type { Config } from '../../lib/settings.ts'

const { carries, same } = invariants

/** Runs the commands on a server of their own. @throws at the first that is not as the model says, with all before it */
export async function runSequence(
  commands: Iterable<fc.AsyncCommand<Model, Sequence>>,
  start: StartServer,
  config: Partial<Config> = {},
): Promise<void> {
  await using world = await startWorld(start, config)
  const sequence = new Sequence(world)
  try {
    for (const step of opening) await new Command(step).run(sequence.model, sequence)
    await fc.asyncModelRun(() => ({ model: sequence.model, real: sequence }), commands)
    await sequence.checkAll()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`${reason}\n\nafter\n${world.log.join('\n')}`, { cause: error })
  }
}

/** A step as fast-check runs and prints it. */
export class Command implements fc.AsyncCommand<Model, Sequence> {
  constructor(readonly step: Step) {}

  check(model: Readonly<Model>): boolean {
    const { name, choices } = this.step
    return name === 'expire' || buildOf(name)(model, choices) !== undefined
  }

  async run(model: Model, sequence: Sequence): Promise<void> {
    const { name, choices } = this.step
    if (name === 'expire') return await sequence.expire(expiryOf(choices))
    const operation = buildOf(name)(model, choices)
    if (operation) await sequence.run(operation, choices.subject)
  }

  toString(): string {
    return textOf(this.step)
  }
}

/** A server and its model, kept side by side. */
export class Sequence {
  readonly model: Model
  private readonly rebuilt = new State()
  private lists: invariants.Lists | undefined
  private turn = 0

  constructor(private readonly world: World) {
    this.model = new Model(() => world.clock.ms)
  }

  async run(operation: Operation, subject: Subject): Promise<void> {
    this.world.clock.ms += 1
    const prediction = operation.predict(this.model)

    const answered = await this.world.send(operation, subject)

    const refused = prediction.status >= 400
    const wanted = operation.publish && !refused ? 200 : prediction.status
    same('status', answered.status, wanted)
    const facts = prediction.facts?.(answered.body) ?? []
    prediction.keep?.()
    const before = this.lists
    const { events, cursor } = await this.settle(facts)
    if (refused && before) same('rows after a refusal', this.lists, before)
    if (refused) return
    if (operation.rest) same('Lightwire-Cursor of the answer', answered.cursor, cursor)
    if (operation.publish) checkPublished(answered.body, events)
    this.checkAnswer(operation, answered)
  }

  /** Whose lease is over changes nothing any more, before the sweep and after it. */
  async expire(ms: number): Promise<void> {
    const { clock, log } = this.world
    clock.ms += ms
    log.push(`the clock goes on by ${ms} ms`)
    const { jobs, facts } = expire(this.model)
    const claims = jobs.map(({ id, attempts }) => ({ id, attempt: attempts }))

    const late = await Promise.all(claims.flatMap((claim) => this.lateActs(claim)))
    const accepted = late.filter(({ status }) => status !== 409)
    same('accepted after the end of the lease', accepted, [])
    await Promise.all(claims.map(({ id, attempt }) => this.world.freed(id, attempt)))

    await this.settle(facts())
  }

  /** At the end: every filter of every list. */
  async checkAll(): Promise<void> {
    await this.settle([])
    if (this.lists) await invariants.checkFilters(this.world.api, this.lists, 'all')
  }

  private lateActs({
    id,
    attempt,
  }: {
    readonly id: Job['id']
    readonly attempt: number
  }): Promise<Answered>[] {
    const subject = this.model.leases.get(id)?.subject === 'bert' ? 'bert' : 'anna'
    const act = (verb: string, body: Fields) => {
      const path = `/api/jobs/${id}/${verb}`
      return this.world.send({ rest: ['POST', path, body], predict: () => ({ status: 409 }) }, subject)
    }
    return [act('complete', { result: {}, attempt }), act('progress', { stage: 'late', progress: 1 })]
  }

  /** What the facts bring about is what the subscriber heard and what REST lists. */
  private async settle(facts: readonly Draft[]) {
    const { world, model, rebuilt } = this
    const expected = model.accept(facts)
    const cursor = String((await world.subscriber.sync())['cursor'])
    const events = world.events()
    const drafts = events.map(draftOf)
    // With a session may go jobs that the counts do not show: the same values are told once more.
    const deleted = facts.some(({ type }) => type === 'session_deleted')
    const isRepeat = ({ type, data }: Draft) =>
      deleted && type === 'queue_status' && isDeepStrictEqual(data, rebuilt.queue)
    const news = drafts.filter((draft) => !isRepeat(draft))
    same('events', news.map(comparable).toSorted(), expected.map(comparable).toSorted())
    for (const draft of drafts) rebuilt.apply(draft)
    this.lists = await invariants.readLists(world.api, cursor)
    for (const kind of ['sessions', 'photos', 'jobs', 'exports'] as const) {
      invariants.checkRebuilt(kind, this.lists[kind], rebuilt)
    }
    invariants.checkColumns(this.lists, model)
    const overridden = [...model.settings].filter(
      ([, { total, processed }]) => total !== null || processed !== null,
    )
    invariants.checkRows(this.lists, rebuilt, new Set(overridden.map(([id]) => id)))
    await invariants.checkFilters(world.api, this.lists, (this.turn += 1))
    return { events, cursor }
  }

  /** The row in the answer is the row that is listed. */
  private checkAnswer({ rest, publish }: Operation, { body }: Answered): void {
    const [method, path] = rest ?? []
    const [, , resource = ''] = path?.split('/') ?? []
    const kind = resource === 'approval' ? 'photos' : resource
    const isListed = kind === 'sessions' || kind === 'photos' || kind === 'jobs' || kind === 'exports'
    if (publish || !isListed || 'deleted' in body) return
    const { export: started, ...plain } = body
    const rows = body['photos'] ?? ('job' in body ? [body['job']] : [plain])
    for (const row of rows as readonly (Fields | null)[]) {
      if (row)
        same(
          `the answer to ${method} ${path}`,
          row,
          this.lists?.[kind].find(({ id }) => id === row['id']),
        )
    }
    if (started) same('the started export', started, this.lists?.exports.at(-1))
  }
}

/** The text of an event, for comparison; the words of the server's own failures are its own. */
function comparable({ type, data }: Draft): string {
  const fields: Fields = data
  const ownWords = type === 'job_failed' && String(fields['error_message']).startsWith('the lease')
  const plain = ownWords ? { ...fields, error_message: '', error_details: {} } : fields
  return `${type} ${JSON.stringify(Object.entries(plain).toSorted(([a], [b]) => (a < b ? -1 : 1)))}`
}

function checkPublished(reply: Fields, events: readonly Message[]): void {
  const { event_type: type, channel, seq } = reply
  const told = events.find((event) => event['channel'] === channel && event['seq'] === seq)
  carries('the event that was published', told, { type, channel, seq })
}
