/** Faults to plant where rights are kept: grants, refreshes, expiries, revocations, narrowed reads. */
import type { Planted } from './planted-writes.ts'

const outside = /is outside its right/

/** The hub ends what was revoked, and once a second the liveness does, for what was just coming. */
const endOfRevoked = "connection.end('disconnected', REVOKED)\n        count += 1"

export const rightsFaults: readonly Planted[] = [
  {
    name: 'grants are left out of a replay',
    patches: [
      {
        file: 'lib/realtime/reader.ts',
        find: 'const { filter, conflate } = topic.options\n    const room',
        replace:
          'const { conflate } = topic.options\n    const { filter } = subscription.asked\n    const room',
      },
    ],
    found: outside,
    rounds: 2,
  },
  {
    name: 'a refresh that narrows leaves a socket in the topic of a channel that ended',
    long: true,
    patches: [
      {
        file: 'lib/realtime/following.ts',
        find: 'if (!principal || !mayRead(principal, channel)) this.drop(channel)',
        replace: 'if (!principal || !mayRead(principal, channel)) this.subscriptions.delete(channel)',
      },
    ],
    found: /which it does not follow|is outside its right/,
    rounds: 3,
  },
  {
    name: 'a refresh that narrows the rows of a channel waits for the next subscribe',
    long: true,
    patches: [
      {
        file: 'lib/realtime/following.ts',
        find: 'this.follow(channel, asked, undefined, { keep: true })',
        replace: 'void asked',
      },
    ],
    found: /is outside its right|came bare, batches were asked for/,
    rounds: 3,
  },
  {
    name: 'a right that was widened goes on with the topic of the one before',
    long: true,
    patches: [
      {
        file: 'lib/realtime/following.ts',
        find: 'if (before?.topic === topic && kept !== undefined)',
        replace: 'if (before && kept !== undefined)',
      },
    ],
    found: /is missing/,
    rounds: 3,
  },
  {
    name: 'a revocation misses streams',
    long: true,
    patches: [
      {
        file: 'lib/realtime/hub.ts',
        find: endOfRevoked,
        replace: `if (connection.medium.transport === 'sse') continue\n        ${endOfRevoked}`,
      },
      {
        file: 'lib/realtime/liveness.ts',
        find: 'if (principal && isRevoked(principal)) return',
        replace: "if (principal && connection.medium.transport !== 'sse' && isRevoked(principal)) return",
      },
    ],
    found: /\(sse\).* its token was revoked$/,
    rounds: 2,
    roundMs: 4000,
  },
  {
    name: 'a revocation is kept until the next look at all connections',
    long: true,
    patches: [{ file: 'lib/realtime/hub.ts', find: endOfRevoked, replace: 'count += 1' }],
    found: /its token was revoked$/,
    rounds: 2,
    roundMs: 4000,
  },
  {
    name: 'a revoked token polls and pulls on',
    long: true,
    patches: [
      {
        file: 'lib/access/tokens.ts',
        find: 'if (isRevoked(principal)) throw revoked()\n      return principal',
        replace: 'return principal',
      },
    ],
    found: /a revoked token was taken/,
    rounds: 2,
    roundMs: 3000,
  },
  {
    name: 'a restart forgets what was revoked',
    long: true,
    patches: [
      {
        file: 'server.ts',
        find: 'for (const revocation of await newRevocations()) revocations.add(revocation)',
        replace: 'await newRevocations()',
      },
    ],
    found: /a revoked token was taken/,
    rounds: 4,
  },
  {
    name: 'the end of a token is not looked at where nothing is said',
    long: true,
    patches: [
      {
        file: 'lib/realtime/liveness.ts',
        find: 'if (principal?.expiresAtMs !== undefined) checkExpiry',
        replace:
          "if (principal?.expiresAtMs !== undefined && connection.medium.transport !== 'sse') checkExpiry",
      },
    ],
    found: /\(sse\).* its token had expired$/,
    rounds: 1,
    // Few bytes, so that a stream outlives its token before its line is cut.
    roundMs: 12_000,
    writers: 1,
    subscribers: 40,
  },
  {
    name: 'a token is good for longer than its leeway',
    long: true,
    patches: [
      {
        file: 'lib/access/tokens.ts',
        find: 'clockTolerance: LEEWAY_SECONDS',
        replace: 'clockTolerance: 3600',
      },
    ],
    found: /an expired token was taken/,
    rounds: 2,
  },
  {
    name: 'what waits for a poll is shown whatever its token grants',
    long: true,
    patches: [
      {
        file: 'lib/transport/poll-session.ts',
        find: 'take().flatMap((message) => shown(caller.principal, message))',
        replace: 'take()',
      },
    ],
    found: /\(poll\).*(is outside its right|which it does not follow)/,
    rounds: 2,
    roundMs: 4000,
  },
  {
    name: 'a page is not narrowed by grants',
    long: true,
    patches: [
      {
        file: 'lib/transport/pull.ts',
        find: '[channel, visible(principal, channel, filter)]',
        replace: '[channel, filter]',
      },
      {
        file: 'lib/transport/pull.ts',
        find: "import { visible, type Principal } from '../access/rights.ts'",
        replace: "import type { Principal } from '../access/rights.ts'",
      },
      {
        file: 'lib/transport/pull.ts',
        find: '{ channels, filter, principal, limit }: PullRequest,',
        replace: '{ channels, filter, limit }: PullRequest,',
      },
    ],
    found: outside,
    rounds: 1,
  },
  {
    name: 'a list of photos is not narrowed by grants',
    long: true,
    patches: [
      {
        file: 'lib/domain/photos.ts',
        find: "selectFrom('photos').selectAll().where('session_id', 'in', sessions)",
        replace: "selectFrom('photos').selectAll()",
      },
    ],
    found: /is outside what its reader may see/,
    rounds: 2,
    roundMs: 3000,
  },
]
