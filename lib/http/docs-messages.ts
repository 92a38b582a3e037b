/** The WebSocket chapter of the documentation page: every message of an AsyncAPI 3.0 document, by channel and direction. */
import type * as z from 'zod'
import {
  actionModel,
  asyncApiModel,
  channelModel,
  follow,
  hostModel,
  messageModel,
  replyModel,
  type Message,
  type Schema,
} from './docs-document.ts'
import {
  anchorOf,
  html,
  joined,
  prose,
  type Chapter,
  type Entry,
  type Group,
  type Html,
} from './docs-html.ts'
import { contentsOf, schemaGroup, schemaName, typeLine, type SchemaBook } from './docs-schema.ts'

type Action = z.output<typeof actionModel>

/** Seen from the server, as AsyncAPI sees it: `receive` is what a client says. */
const ways = {
  receive: { mark: '↑', name: 'client → server', spoken: 'client to server' },
  send: { mark: '↓', name: 'server → client', spoken: 'server to client' },
} as const

type Way = keyof typeof ways
const wayNames = ['receive', 'send'] as const satisfies readonly Way[]

interface Place {
  readonly id: string
  readonly channel: string
  /** Pointer of the message itself, whichever channel names it. */
  readonly ref: string
  readonly message: Message
  readonly name: string
}

interface Source {
  readonly document: object
  readonly book: SchemaBook
  readonly places: readonly Place[]
  readonly actions: readonly Action[]
}

export function eventsChapter(asyncApi: object): Chapter {
  const { info, servers, channels, operations, components } = asyncApiModel.parse(asyncApi)
  const places = Object.entries(channels).flatMap(([key, channel]) => placesOf(key, channel, asyncApi))
  const source = {
    document: asyncApi,
    book: { prefix: 'event-schema', schemas: components.schemas, homes: homesOf(places) },
    places,
    actions: Object.values(operations).map((action) => read(actionModel, asyncApi, action)),
  }
  const hosts = Object.values(servers).map((server) => read(hostModel, asyncApi, server))
  const schemas = schemaGroup('Message schemas', source.book)
  return {
    id: 'events',
    title: 'WebSocket',
    intro: html`${prose(info.description)}${hosts.map(
      ({ protocol, host, pathname, description }) =>
        html`<p class="server"><code>${protocol}://${host}${pathname}</code></p>
          ${prose(description)}`,
    )}`,
    groups: [
      ...Object.entries(channels).flatMap(([key, channel]) => channelGroups(key, channel, source)),
      ...(schemas.entries.length > 0 ? [schemas] : []),
    ],
  }
}

function read<M extends z.ZodType>(model: M, document: object, value: unknown): z.output<M> {
  return model.parse(follow(document, value).value)
}

function placesOf(key: string, channel: unknown, document: object): Place[] {
  const { messages } = read(channelModel, document, channel)
  return Object.entries(messages).map(([name, declared]) => {
    const { value, ref } = follow(document, declared)
    const message = messageModel.parse(value)
    return {
      id: anchorOf('message', key, name),
      channel: key,
      ref: ref ?? pointer('channels', key, 'messages', name),
      message,
      name: message.name ?? name,
    }
  })
}

function pointer(...steps: readonly string[]): string {
  return `#/${steps.map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`
}

/** A schema that is a message's payload is shown with the message, and references to it lead there. */
function homesOf(places: readonly Place[]): ReadonlyMap<string, string> {
  const homes = places.flatMap(({ id, message }) => {
    const name = schemaName(refOf(payloadOf(message)))
    return name === undefined ? [] : [[name, id] as const]
  })
  return new Map(homes.toReversed())
}

function refOf(schema: Schema): string | undefined {
  return typeof schema === 'object' ? schema.$ref : undefined
}

/** A group for each direction that the channel has; what goes both ways is with what the clients say. */
function channelGroups(key: string, declared: unknown, source: Source): Group[] {
  const channel = read(channelModel, source.document, declared)
  const actions = source.actions.filter(
    (action) => follow(source.document, action.channel).ref === pointer('channels', key),
  )
  const places = source.places.filter((place) => place.channel === key)
  const directions = new Map(places.map((place) => [place, waysOf(place, actions, places, source)]))
  const title = channel.title ?? key
  const about = html`${channel.address ? html`<p class="server"><code>${channel.address}</code></p>` : undefined}${prose(channel.summary)}${prose(channel.description)}`
  return [...wayNames, undefined]
    .map((way) => ({ way, shown: places.filter((place) => directions.get(place)?.[0] === way) }))
    .filter(({ shown }) => shown.length > 0)
    .map(({ way, shown }, index) => ({
      id: way ? anchorOf('channel', key, way) : anchorOf('channel', key),
      title: way ? `${title}, ${ways[way].name}` : title,
      intro: html`${index === 0 ? about : undefined}${actions
        .filter((action) => action.action === way)
        .map(({ description, summary }) => prose(description ?? summary))}`,
      entries: shown.map((place) => entry(place, directions.get(place) ?? [], source)),
    }))
}

/** None for a message that no operation names. */
function waysOf(place: Place, actions: readonly Action[], places: readonly Place[], source: Source): Way[] {
  return wayNames.filter((way) =>
    actions.some((action) => refsThat(way, action, places, source).includes(place.ref)),
  )
}

/** The messages of an operation that go one way: its own, or, the other way, those of its reply. */
function refsThat(way: Way, action: Action, places: readonly Place[], source: Source) {
  if (action.action !== way) return replyRefs(action, source)
  return refsOf(action, source) ?? places.map(({ ref }) => ref)
}

function replyRefs({ reply }: Action, source: Source) {
  return reply === undefined ? [] : (refsOf(read(replyModel, source.document, reply), source) ?? [])
}

/** The messages of an operation, or of its reply. */
function refsOf({ messages }: { readonly messages?: readonly unknown[] | undefined }, { document }: Source) {
  return messages?.map((message) => follow(document, message).ref)
}

function entry(place: Place, directions: readonly Way[], source: Source): Entry {
  const { id, name, message } = place
  const line = message.title === name ? undefined : message.title
  const said = message.summary ?? line
  return {
    id,
    label: html`${directions.map(mark)} <code>${name}</code>`,
    body: html`<h4>
        <a class="self" href="#${id}"><code>${name}</code></a
        >${directions.map((way) => html` <span class="badge ${way}">${ways[way].name}</span>`)}
      </h4>
      ${said === undefined ? undefined : html`<p class="summary">${said}</p>`}${prose(message.description)}${replies(place, source)}
      ${
        message.headers === undefined
          ? undefined
          : html`<h5>Headers</h5>
              ${fields(message.headers, source)}`
      }
      ${fields(payloadOf(message), source, id)}
      ${message.examples.map(
        (example) =>
          html`<details>
            <summary>${example.summary ?? example.name ?? 'Example'}</summary>
            <pre><code>${JSON.stringify(example.payload, null, 2)}</code></pre>
          </details>`,
      )}`,
  }
}

function mark(way: Way): Html {
  return html`<span class="way ${way}" aria-hidden="true">${ways[way].mark}</span
    ><span class="unseen">${ways[way].spoken}:</span>`
}

/** The payload's fields; that a message is an object, or the schema that is shown right here, need not be said. */
function fields(schema: Schema, { book }: Source, id?: string): Html {
  const home = book.homes?.get(schemaName(refOf(schema)) ?? '')
  const isPlain = typeof schema === 'object' && schema.properties !== undefined
  const line = isPlain || (home !== undefined && home === id) ? undefined : typeLine(schema, book)
  return html`${line && html`<p class="type">${line}</p>`}${contentsOf(schema, book)}`
}

/** A schema may come with the name of its format around it. */
function payloadOf({ payload = true }: Message): Schema {
  return typeof payload === 'object' && 'schemaFormat' in payload && 'schema' in payload
    ? (payload.schema as Schema) // the model has checked this very member
    : payload
}

function replies(place: Place, source: Source): Html {
  const refs = source.actions
    .filter((action) => refsOf(action, source)?.includes(place.ref))
    .flatMap((action) => replyRefs(action, source))
  const links = [...new Set(refs)].flatMap((ref) => {
    const answer = source.places.find((other) => other.ref === ref)
    return answer ? [html`<a href="#${answer.id}"><code>${answer.name}</code></a>`] : []
  })
  return links.length === 0 ? html`` : html`<p class="needs">Answered by ${joined(links, ' or ')}</p>`
}
