/** Pullers: page after page of the journal, each since the cursor of the one before; some wait for what comes. */
import { drawWhere } from './options.ts'
import { Follower, wait, type FollowerOptions } from './follower.ts'
import type { JournalEvent, Row } from './record.ts'
import { sessionsOpened } from './rights.ts'
import { drawRead, readRecords } from './seen-reads.ts'

interface Page {
  readonly events: readonly JournalEvent[]
  readonly cursor: string
  readonly more: boolean
}

export class Puller extends Follower {
  /** Of the last page: whoever has none begins with the oldest event. */
  private since: string | undefined

  constructor(options: FollowerOptions) {
    super(options, 'pull')
    this.since = this.cursor()
  }

  protected hangUp(): void {}

  protected async visit(url: string): Promise<void> {
    const { history, random } = this.options
    const { channels, pass, right } = this
    if (pass && random.chance(0.15)) await this.read(url)
    const where = random.chance(0.3) ? drawWhere(random, channels) : undefined
    const limit = random.pick([1, 3, 10, 50, 1000])
    const waits = random.chance(0.5) ? random.int(1, 30) / 100 : 0
    const { since } = this
    const query = new URLSearchParams({
      channels: channels.join(','),
      limit: String(limit),
      wait: String(waits),
    })
    if (since !== undefined) query.set('since', since)
    if (where) query.set('where', JSON.stringify(where))
    // What was lost on its way is asked for again: reading destroys nothing.
    const answer = await this.call<Page>('GET', `${this.address(url)}/api/events?${query.toString()}`)
    if (answer.status !== 200) return this.refused('a pull', answer)
    const { events, cursor, more } = answer.body
    const { name } = this.record
    const asked = { name, pass, right, channels, since, where, limit, wait: waits }
    history.pulls.push({ ...asked, events, cursor, more })
    this.adopt(cursor)
    // With the channels that this page was not about, because its pass did not open them.
    this.since = this.cursor()
    if (!more && !this.settling) await wait(random.int(0, 100))
  }

  /** Reads rows with its pass, which opens those of some sessions, or none. */
  private async read(url: string): Promise<void> {
    const { history, random } = this.options
    const seen = sessionsOpened(this.right)
    const read = drawRead(random, seen)
    const answer = await this.call<Row>('GET', `${this.address(url)}${read.path}`)
    if (answer.status === 403 && seen.size === 0) return
    if (answer.status === 404 && read.single) return
    if (answer.status !== 200 || seen.size === 0) return this.refused(`a read of ${read.path}`, answer)
    history.reads.push(...readRecords(read, seen, answer.body, answer.cursor ?? ''))
  }

  protected override begin(): void {
    super.begin()
    this.since = this.cursor()
  }
}
