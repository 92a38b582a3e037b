/** Faults to plant on the way to the subscribers: topics, readers, filters, conflation, streams, pages, polls, drains. */
import type { Patch } from '../support/planted.ts'
import type { Planted } from './planted-writes.ts'

const publishLine = 'publishBare(lane.plain, event)'

/** No fault: connections are taken for slow at random and moved aside, as a crowd of slow ones would be. */
export const restless: readonly Patch[] = [
  {
    file: 'lib/realtime/sweep.ts',
    find: 'if (handedOut > 0 && handedOut + raise(bytes, meter)',
    replace: 'if (Math.random() < 0.2 || handedOut + raise(bytes, meter)',
  },
  {
    file: 'lib/realtime/sweep.ts',
    find: 'if (connection.unsentBytes() > mark) connection.moveAside()',
    replace: 'if (Math.random() < 0.2 || connection.unsentBytes() > mark) connection.moveAside()',
  },
]

export const deliveryFaults: readonly Planted[] = [
  {
    name: 'an event is skipped',
    long: true,
    patches: [
      {
        file: 'lib/realtime/topics.ts',
        find: publishLine,
        replace: `if (event.seq % 41 !== 0) ${publishLine}`,
      },
    ],
    found: /jumps from/,
    rounds: 2,
  },
  {
    name: 'an event is repeated',
    long: true,
    patches: [
      {
        file: 'lib/realtime/topics.ts',
        find: publishLine,
        replace: `${publishLine}\n if (event.seq % 41 === 0) ${publishLine}`,
      },
    ],
    found: /came again/,
    rounds: 2,
  },
  {
    name: 'two events are swapped',
    long: true,
    patches: [
      {
        file: 'lib/realtime/hub.ts',
        find: 'for (const event of events) {',
        replace: 'for (const event of events.toReversed()) {',
      },
      {
        file: 'lib/realtime/topics.ts',
        find: 'lane.head = event.seq',
        replace: 'lane.head = Math.max(lane.head, event.seq)',
      },
    ],
    // A page of memory begins too late then, which looks like retention to whoever reads it.
    found: /jumps from|no longer kept/,
    rounds: 2,
  },
  {
    name: 'a reader joins its topic one event late',
    long: true,
    patches: [
      {
        file: 'lib/realtime/reader.ts',
        find: 'if (at >= subscription.topic.published) {',
        replace: 'if (at + 1 >= subscription.topic.published) {',
      },
      {
        file: 'lib/realtime/reader.ts',
        find: 'if (subscription.position === topic.published) {',
        replace: 'if (subscription.position <= topic.published) {',
      },
    ],
    found: /jumps from|says|ended at/,
    rounds: 4,
  },
  {
    name: 'a client whose token was revoked stays',
    long: true,
    patches: [
      {
        file: 'lib/realtime/hub.ts',
        find: "connection.end('disconnected', REVOKED)",
        replace: '',
      },
      {
        file: 'lib/realtime/liveness.ts',
        find: "if (principal && isRevoked(principal)) return connection.end('disconnected', REVOKED)",
        replace: '',
      },
    ],
    found: /its token was revoked$/,
    rounds: 1,
    // It has to stay for more than a second.
    roundMs: 5000,
  },
  {
    name: 'a message that is not in the journal carries a number',
    long: true,
    patches: [
      {
        file: 'lib/realtime/hub.ts',
        find: 'const sent = { ...message,',
        replace: "const sent = { ...message, seq: 1, channel: 'jobs',",
      },
    ],
    found: /is numbered$/,
    rounds: 1,
  },
  {
    name: 'a topic does not move what its members were told',
    long: true,
    patches: [
      {
        file: 'lib/realtime/topics.ts',
        find: 'publish(topic, batch)\n    }\n    topic.covered = head',
        replace: 'publish(topic, batch)\n    }',
      },
    ],
    found: /a batch of .* leaves out/,
    rounds: 2,
  },
  {
    name: 'conflation takes a fact for a state',
    long: true,
    patches: [
      {
        file: 'lib/realtime/window.ts',
        find: 'const key = this.conflate ? event.stateKey : undefined',
        replace: 'const key = this.conflate ? (event.stateKey ?? event.type) : undefined',
      },
    ],
    found: /the fact .* is missing from a conflated batch/,
    rounds: 3,
  },
  {
    name: 'conflation forgets that an event is the newest of its state',
    long: true,
    patches: [
      { file: 'lib/realtime/window.ts', find: 'this.newest.set(key, this.events.length)', replace: '' },
    ],
    found: /supersedes another event of its batch/,
    rounds: 3,
  },
  {
    name: 'a reader does not move what its client was told',
    long: true,
    patches: [{ file: 'lib/realtime/reader.ts', find: 'subscription.told = batch.upto', replace: '' }],
    found: /a batch of .* leaves out/,
    rounds: 2,
  },
  {
    name: 'a filter with two conditions asks for the first alone',
    long: true,
    patches: [
      {
        file: 'lib/protocol/filter.ts',
        find: 'conditions.every((condition) => holds(condition, fields))',
        replace: 'conditions.slice(0, 1).every((condition) => holds(condition, fields))',
      },
    ],
    found: /does not pass its filter/,
    rounds: 2,
  },
  {
    name: 'the id of a stream is one behind',
    long: true,
    patches: [
      {
        file: 'lib/transport/sse.ts',
        find: 'index === events.length - 1 ? upto : seq',
        replace: '(index === events.length - 1 ? upto : seq) - 1',
      },
    ],
    found: /an id says/,
    rounds: 1,
  },
  {
    name: 'a page skips its last event',
    long: true,
    patches: [
      {
        file: 'lib/transport/pull.ts',
        find: 'if (events.length >= limit || bytes >= PAGE_BYTES) break',
        replace: 'if (events.length >= limit || bytes >= PAGE_BYTES) { events.pop(); break }',
      },
    ],
    found: /its cursor says .* is missing/,
    rounds: 1,
  },
  {
    name: 'a poll brings less than it takes away',
    long: true,
    patches: [
      {
        file: 'lib/transport/poll-session.ts',
        find: 'this.messages.map((text)',
        replace: 'this.messages.filter((_, index) => index !== 5).map((text)',
      },
    ],
    found: /\(poll\).* is missing/,
    rounds: 2,
  },
  {
    name: 'a connection that is moved aside is parked after its window was emptied',
    long: true,
    patches: [
      ...restless,
      {
        file: 'lib/realtime/following.ts',
        find: 'subscription.position = topic.published\n    subscription.told = topic.covered\n    subscription.live = false\n    this.topics.leave(topic, this.owner.medium.framing, this.owner.socket)',
        replace:
          'this.topics.leave(topic, this.owner.medium.framing, this.owner.socket)\n    subscription.position = topic.published\n    subscription.told = topic.covered\n    subscription.live = false',
      },
    ],
    found: /is missing|leaves out/,
    rounds: 3,
  },
  {
    name: 'a server that drains hangs up without a word',
    long: true,
    patches: [
      {
        file: 'lib/realtime/departure.ts',
        find: 'if (connection.unsentBytes() === 0) return connection.close()',
        replace: 'if (connection.unsentBytes() === 0) return connection.socket.terminate()',
      },
    ],
    found: /was cut by a server that drained/,
    rounds: 1,
  },
]
