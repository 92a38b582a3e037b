/** openapi.yaml and asyncapi.yaml are what a public validator takes for such documents. */
import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import { asyncApiText } from '../../cli/asyncapi-text.ts'
import { catalogue, eventTypes } from '../../lib/protocol/events.ts'
import { clientMessages } from '../../lib/protocol/messages.ts'
import { serverMessages } from '../../lib/protocol/server-messages.ts'
import { projectRoot } from '../support/process.ts'

const names = ['openapi.yaml', 'asyncapi.yaml'] as const
type Name = (typeof names)[number]

const textOf = (name: Name) => readFileSync(join(projectRoot, name), 'utf8')

/** The rules that the two specifications themselves make. */
const rules = await createConfig({ extends: ['spec'] })

async function faultsOf(name: Name, source: string): Promise<string[]> {
  const problems = await lintFromString({ source, config: rules, absoluteRef: name })
  return problems.map(({ message, location }) => `${location[0]?.pointer}: ${message}`)
}

test('asyncapi.yaml is what messages and events declare; npm run docs writes it anew', () => {
  expect(textOf('asyncapi.yaml') === asyncApiText()).toBe(true)
})

test.each(names)('%s is valid', async (name) => {
  expect(await faultsOf(name, textOf(name))).toEqual([])
})

interface Broken {
  readonly name: Name
  readonly fault: string
  readonly find: string
  readonly replace: string
  readonly found: RegExp
}

const broken: readonly Broken[] = [
  {
    name: 'openapi.yaml',
    fault: 'a reference to nothing',
    find: '#/components/schemas/Session"',
    replace: '#/components/schemas/Nothing"',
    found: /Can't resolve \$ref/,
  },
  {
    name: 'openapi.yaml',
    fault: 'a parameter in no known place',
    find: 'in: query',
    replace: 'in: quarry',
    found: /`in` can be one of/,
  },
  {
    name: 'openapi.yaml',
    fault: 'a schema of no known type',
    find: 'type: integer',
    replace: 'type: whole',
    found: /`type` can be one of/,
  },
  {
    name: 'asyncapi.yaml',
    fault: 'an operation on a channel that is not there',
    find: '$ref: "#/channels/jobs"',
    replace: '$ref: "#/channels/nothing"',
    found: /Can't resolve \$ref/,
  },
  {
    name: 'asyncapi.yaml',
    fault: 'an operation that neither sends nor receives',
    find: 'action: receive',
    replace: 'action: subscribe',
    found: /`action` can be one of/,
  },
  {
    name: 'asyncapi.yaml',
    fault: 'a misspelt field',
    find: 'defaultContentType:',
    replace: 'defaultContent:',
    found: /`defaultContent` is not expected/,
  },
  {
    name: 'asyncapi.yaml',
    fault: 'a schema of no known type',
    find: 'type: integer',
    replace: 'type: whole',
    found: /`type` can be one of/,
  },
]

test.each(broken)('the validator finds $fault in $name', async ({ name, find, replace, found }) => {
  const text = textOf(name)

  const copy = text.replace(find, () => replace)

  expect(copy).not.toBe(text)
  expect((await faultsOf(name, copy)).join('\n')).toMatch(found)
})

test('asyncapi.yaml has each event on its channel with its class, and each message of the protocol', () => {
  const document = Bun.YAML.parse(textOf('asyncapi.yaml')) as {
    channels: Record<string, { messages: Record<string, unknown> }>
    components: { messages: Record<string, { 'x-class'?: string; 'x-key'?: string[] }> }
  }
  const { control, ...channels } = document.channels

  const events = Object.entries(channels).flatMap(([channel, { messages }]) =>
    Object.keys(messages).map((type) => ({
      type,
      channel,
      class: document.components.messages[type]?.['x-class'],
      key: document.components.messages[type]?.['x-key'] ?? [],
    })),
  )

  const byType = (a: { type: string }, b: { type: string }) => a.type.localeCompare(b.type)
  expect(events.toSorted(byType)).toEqual(
    eventTypes
      .map((type) => {
        const { channel, class: kind, key } = catalogue[type]
        return { type, channel: channel as string, class: kind as string, key: [...key] as string[] }
      })
      .toSorted(byType),
  )
  expect(Object.keys(control?.messages ?? {})).toEqual([
    ...Object.keys(clientMessages),
    ...Object.keys(serverMessages),
  ])
})

test('every operation of asyncapi.yaml names messages of its own channel, and every message is said in one', () => {
  interface Said {
    channel: { $ref: string }
    messages: { $ref: string }[]
  }
  const { operations, channels } = Bun.YAML.parse(textOf('asyncapi.yaml')) as {
    operations: Record<string, Said & { reply?: Said }>
    channels: Record<string, { messages: Record<string, unknown> }>
  }
  const said = Object.values(operations).flatMap((operation) =>
    operation.reply ? [operation, operation.reply] : [operation],
  )

  const strangers = said.flatMap(({ channel, messages }) =>
    messages.filter(({ $ref }) => !$ref.startsWith(`${channel.$ref}/messages/`)),
  )
  const named = new Set(said.flatMap(({ messages }) => messages.map(({ $ref }) => $ref)))
  const declared = Object.entries(channels).flatMap(([name, { messages }]) =>
    Object.keys(messages).map((type) => `#/channels/${name}/messages/${type}`),
  )

  expect(strangers).toEqual([])
  expect([...named].toSorted()).toEqual(declared.toSorted())
})
