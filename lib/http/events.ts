/** Routes of events: publishing over HTTP, for systems that keep their rows elsewhere. */
import * as z from 'zod'
import { requireChannel } from '../access/rights.ts'
import {
  channelOf,
  EVENTS_PER_PUBLISH_MAX,
  publicationOf,
  publishable,
  publishAll,
} from '../domain/publishing.ts'
import { channels } from '../protocol/events.ts'
import { route, type Route } from './route.ts'

export const eventRoutes: readonly Route[] = [
  route({
    method: 'post',
    path: '/api/events',
    summary: 'Publishes an event, or up to 1,000: all or none; the scope may be that of a channel',
    tag: 'events',
    right: 'publish',
    body: z.union([publishable, z.array(publishable).min(1).max(EVENTS_PER_PUBLISH_MAX)]),
    status: 201,
    answer: z.object({
      published: z.array(z.object({ channel: z.enum(channels), seq: z.int().min(1) })),
    }),
    refuses: ['unknown_type', 'conflict'],
    act: {
      async run(runWrite, { body, principal }) {
        const events = Array.isArray(body) ? body : [body]
        for (const { type } of events) requireChannel(principal, 'publish', channelOf(type))
        const publications = events.map((event) => publicationOf(event, principal.subject))
        const { events: stored, heads } = await runWrite((write) => publishAll(write, publications))
        return { value: { published: stored.map(({ channel, seq }) => ({ channel, seq })) }, heads }
      },
    },
  }),
]
