/** A lane: the topics of one channel, and which of them an event is for. */
import type { Channel } from '../protocol/events.ts'
import type { Filter } from '../protocol/filter.ts'
import { FilterLookup } from './filter-lookup.ts'
import type { EncodedEvent } from './tail.ts'
import { optionsKey, PLAIN, Topic, type Options } from './topic.ts'

/** The topics of one filter: it is evaluated once for all of them. */
interface Group {
  readonly filter: Filter
  readonly topics: Set<Topic>
}

/** Counts the filters that are evaluated, over all lanes. */
export interface FilterCount {
  readonly max: number
  now: number
}

export class Lane {
  /** For bare events. */
  readonly plain: Topic
  private readonly byOptions = new Map<string, Topic>()
  /** Those with members that want every event in batches. */
  private readonly whole = new Set<Topic>()
  private readonly groups = new Map<string, Group>()
  private readonly filtered = new FilterLookup<Group>()
  private serial = 0

  /** @param head seq of the newest event that was handed to the topics */
  constructor(
    readonly channel: Channel,
    public head: number,
    private readonly filters: FilterCount,
  ) {
    this.plain = new Topic(channel, PLAIN, channel, this)
  }

  get batching(): Iterable<Topic> {
    return this.byOptions.values()
  }

  /** The topic of these options; it exists while somebody holds it. */
  hold(options: Options): Topic {
    if (options.batchMs === undefined) return this.plain
    const key = optionsKey(options)
    let topic = this.byOptions.get(key)
    if (!topic) {
      this.serial += 1
      topic = new Topic(this.channel, options, `${this.channel}:${this.serial}`, this)
      this.byOptions.set(key, topic)
    }
    topic.holders += 1
    return topic
  }

  letGo(topic: Topic): void {
    if (topic === this.plain) return
    topic.holders -= 1
    if (topic.holders === 0) this.byOptions.delete(optionsKey(topic.options))
  }

  /** From now on events are handed to it. False where its filter would be one too many. */
  activate(topic: Topic): boolean {
    const { filter } = topic.options
    if (topic === this.plain) return true
    if (!filter) {
      this.whole.add(topic)
      return true
    }
    let group = this.groups.get(filter.key)
    if (!group) {
      if (this.filters.now >= this.filters.max) return false
      this.filters.now += 1
      group = { filter, topics: new Set() }
      this.groups.set(filter.key, group)
      this.filtered.add(group)
    }
    group.topics.add(topic)
    return true
  }

  /** Nobody is left who would get anything. */
  deactivate(topic: Topic): void {
    this.whole.delete(topic)
    const key = topic.options.filter?.key
    const group = key === undefined ? undefined : this.groups.get(key)
    if (!group?.topics.delete(topic) || group.topics.size > 0) return
    this.groups.delete(group.filter.key)
    this.filtered.delete(group)
    this.filters.now -= 1
  }

  /** The active topics that batch, as far as the event passes their filters. */
  *batchingFor(event: EncodedEvent): Generator<Topic> {
    yield* this.whole
    if (this.filtered.isEmpty) return
    for (const { topics } of this.filtered.matching(event.fields)) yield* topics
  }
}
