/** The pages for newcomers are short and true: each is followed in a copy of the project, by what it names alone. */
import { expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Glob } from 'bun'
import { scripts } from '../../package.json' with { type: 'json' }
import { projectRoot } from '../support/process.ts'
import { copyFor, pathsIn, readPage, scriptsIn, serve, type Copy } from './copy.ts'

// Each page starts a dozen processes, on a machine that may be busy.
setDefaultTimeout(180_000)

const pages = [...new Glob('docs/add-*.md').scanSync(projectRoot)].toSorted()

const writtenAnew = 'npm run docs writes it anew'

test('there are three how-to pages of ten lines', () => {
  const sizes = pages.map((page) => [page, readPage(page).trimEnd().split('\n').length])

  expect(sizes).toEqual([
    ['docs/add-a-refusal.md', 10],
    ['docs/add-a-route.md', 10],
    ['docs/add-an-event-type.md', 10],
  ])
})

test.each(pages)('%s names files and commands that there are', (page) => {
  const paths = pathsIn(page)
  const commands = scriptsIn(page)

  expect(paths.length).toBeGreaterThan(5)
  expect(paths.filter((path) => !existsSync(join(projectRoot, path)))).toEqual([])
  expect(new Set(commands)).toEqual(new Set(['docs', 'typecheck', 'test']))
  expect(commands.filter((name) => !(name in scripts))).toEqual([])
})

/** Types hold, and so do the named tests of each file. */
async function expectGreen(copy: Copy, named: readonly (readonly [file: string, words: string])[]) {
  expect(await copy.newTypeFaults()).toEqual([])
  for (const [file, words] of named) {
    const { code, output } = await copy.test(file, words)
    expect([file, code, code === 0 ? '' : output]).toEqual([file, 0, ''])
  }
}

test('a new event type needs what its page names, and nothing else', async () => {
  using copy = await copyFor('docs/add-an-event-type.md')
  const { insert, sample } = copy
  const fields = { printer: 'Epson', copies: 2 }
  const told = { photo_id: 901, session_id: null, ...fields }
  const sent = { type: 'photo_printed', photo_id: 901, ...fields }

  insert('lib/protocol/events.ts', 'export const catalogue = {\n', `  ${sample('photo_printed: fact')}\n`)
  const typesForgotten = await copy.newTypeFaults()
  const linesForgotten = await copy.test('tests/docs/protocol.test.ts', 'each event type')
  insert(
    'tests/http/event-samples.ts',
    'readonly told: object }>> = {\n',
    `  ${sample('photo_printed: both')}\n`,
  )
  const casesForgotten = [
    await copy.test('tests/http/event-types.test.ts', 'the table of routes'),
    await copy.test('tests/http/event-commands.test.ts', 'each type is a command'),
  ]
  insert(
    'tests/http/event-cases.ts',
    '\n  photos: {\n',
    `photo_printed: {
      given: nothing,
      request: () => ['POST', '/api/events', ${JSON.stringify(sent)}],
      told: () => [['photo_printed', ${JSON.stringify(told)}]],
    },\n`,
  )
  insert(
    'tests/http/command-cases.ts',
    'Record<EventType, (shot: Shot) => object>>> = {\n',
    `  photo_printed: ({ photo }) => ({ photo_id: photo, ...${JSON.stringify(fields)} }),\n`,
  )
  insert(
    'PROTOCOL.md',
    '| | photo_approved · photo_rejected | – · reason | fact |\n',
    `${sample('| | photo_printed')}\n`,
  )
  copy.probe(
    'tests/docs/probe.ts',
    `import { events } from '../../lib/protocol/event-helpers.ts'
    export const made: { readonly type: 'photo_printed'; readonly copies: number } =
      events.photoPrinted({ photo_id: 901, printer: 'Epson', copies: 2 })`,
  )
  const docsForgotten = [
    await copy.test('tests/http/openapi.test.ts', writtenAnew),
    await copy.test('tests/http/contract-documents.test.ts', writtenAnew),
  ]
  const wrote = await copy.run('run', 'docs')

  expect(typesForgotten).toEqual([
    expect.stringMatching(/^tests\/http\/event-samples\.ts: .*'photo_printed' is missing/),
  ])
  for (const { code, output } of [linesForgotten, ...casesForgotten]) {
    expect([code, output]).toEqual([1, expect.stringContaining('photo_printed')])
  }
  for (const { code, output } of docsForgotten) {
    expect([code, output]).toEqual([1, expect.stringContaining(writtenAnew)])
  }
  expect(wrote.code).toBe(0)
  await expectGreen(copy, [
    ['tests/docs/protocol.test.ts', 'each event type'],
    ['tests/http/event-types.test.ts', 'photo_printed comes with exactly its fields'],
    ['tests/http/event-commands.test.ts', 'each type is a command|a type that is no command'],
    ['tests/http/event-publishing.test.ts', 'photo_printed'],
    ['tests/http/openapi.test.ts', writtenAnew],
    ['tests/http/contract-documents.test.ts', `${writtenAnew}|is valid`],
  ])
  const { openapi, asyncapi } = copy.documents()
  expect(openapi.components.schemas['photo_printed']).toMatchObject({
    required: ['type', 'photo_id', 'printer', 'copies'],
  })
  expect(asyncapi.components.messages).toHaveProperty('photo_printed')
  const { made } = (await import(join(copy.root, 'tests/docs/probe.ts'))) as { made: object }
  expect(made).toEqual(sent)

  await using server = await serve(copy.root)
  await server.client.subscribe(['photos'])
  const published = await server.api('POST', '/api/events', sent)
  const event = await server.client.next('photo_printed')
  const refused = await server.api('POST', '/api/events', { ...sent, copies: -1 })

  expect([published.status, published.body]).toEqual([
    201,
    { published: [{ channel: 'photos', seq: 1 }] } as never,
  ])
  expect(event).toStrictEqual({
    type: 'photo_printed',
    timestamp: event['timestamp'],
    channel: 'photos',
    seq: 1,
    ...told,
  })
  expect([refused.status, refused.body]).toEqual([400, expect.objectContaining({ code: 'invalid_message' })])
})

test('a new route needs what its page names, and nothing else', async () => {
  using copy = await copyFor('docs/add-a-route.md')
  const { insert, sample } = copy
  const path = '/api/photos/{id}/neighbours'

  insert(
    'lib/domain/photos.ts',
    'export type Photo = z.output<typeof photoSchema>\n',
    `
export const neighboursSchema = z.object({ previous: rowId.nullable(), next: rowId.nullable() })

/** The photos beside one, by id. @throws {Refusal} \`not_found\` */
export async function neighboursOf(queries: Queries, id: number): Promise<z.output<typeof neighboursSchema>> {
  await readPhoto(queries, id)
  const ids = queries.selectFrom('photos').select('id').limit(1)
  const previous = await ids.where('id', '<', id).orderBy('id', 'desc').executeTakeFirst()
  const next = await ids.where('id', '>', id).orderBy('id').executeTakeFirst()
  return { previous: previous?.id ?? null, next: next?.id ?? null }
}
`,
  )
  insert('lib/http/photos.ts', 'import {\n', '  neighboursOf,\n  neighboursSchema,\n')
  insert(
    'lib/http/photos.ts',
    'photoRoutes: readonly Route[] = [\n',
    `route({
      method: 'get',
      path: '${path}',
      summary: 'The photos before and after one',
      tag,
      ${sample("right: 'apiRead'")}
      params: idParams,
      status: 200,
      answer: neighboursSchema,
      refuses: ['not_found'],
      ${sample('act: { read')}
    }),\n`,
  )
  const docsForgotten = await copy.test('tests/http/openapi.test.ts', writtenAnew)
  const wrote = await copy.run('run', 'docs')

  expect([docsForgotten.code, docsForgotten.output]).toEqual([1, expect.stringContaining(writtenAnew)])
  expect(wrote.code).toBe(0)
  await expectGreen(copy, [
    ['tests/http/openapi.test.ts', writtenAnew],
    ['tests/http/guard.test.ts', 'each route asks for exactly the scope'],
  ])
  const responses = copy.documents().openapi.paths[path]?.['get']?.responses ?? {}
  expect(Object.keys(responses)).toEqual(expect.arrayContaining(['200', '400', '401', '403', '404']))

  await using server = await serve(copy.root)
  await server.api('POST', '/api/photos', [{ file_path: '/1' }, { file_path: '/2' }, { file_path: '/3' }])
  const answers = [
    await server.api('GET', '/api/photos/2/neighbours'),
    await server.api('GET', '/api/photos/3/neighbours'),
    await server.api('GET', '/api/photos/9/neighbours'),
    await server.api('GET', '/api/photos/x/neighbours'),
    await server.apiAs(undefined)('GET', '/api/photos/2/neighbours'),
    await server.apiAs(await server.tokenFor('api:write events:read'))('GET', '/api/photos/2/neighbours'),
    await server.apiAs(await server.tokenFor('api:read'))('GET', '/api/photos/2/neighbours'),
  ]

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 400, 401, 403, 200])
  expect(answers[0]?.body).toEqual({ previous: 1, next: 3 } as never)
  expect(answers[1]?.body).toEqual({ previous: 2, next: null } as never)
})

test('a new refusal needs what its page names, and nothing else', async () => {
  using copy = await copyFor('docs/add-a-refusal.md')
  const { insert, replace, sample } = copy

  insert(
    'lib/domain/exports.ts',
    "import * as z from 'zod'\n",
    "import { Refusal } from '../protocol/refusals.ts'\n",
  )
  insert(
    'lib/domain/exports.ts',
    'const { session_id } = await readPhoto(write.queries, photoId)\n',
    `const { total } = await listExports(write.queries, { status: 'running', limit: 1, offset: 0 })
  if (total > 0) ${sample('throw new Refusal')}\n`,
  )
  replace(
    'lib/http/exports.ts',
    "refuses: ['not_found'],\n    act: { write",
    `${sample('refuses: [')}\n    act: { write`,
  )
  const typesForgotten = await copy.newTypeFaults()
  insert('lib/protocol/refusals.ts', 'export const refusals = {\n', `  ${sample('quota_exceeded: {')}\n`)
  const linesForgotten = await copy.test('tests/docs/protocol.test.ts', 'each refusal')
  const docsForgotten = [
    await copy.test('tests/http/openapi.test.ts', writtenAnew),
    await copy.test('tests/http/contract-documents.test.ts', writtenAnew),
  ]
  insert('PROTOCOL.md', '\n| code | HTTP | close |\n| --- | --- | --- |\n', `${sample('| quota_exceeded')}\n`)
  const wrote = await copy.run('run', 'docs')

  expect(typesForgotten.map((fault) => fault.split(':')[0])).toEqual([
    'lib/domain/exports.ts',
    'lib/http/exports.ts',
  ])
  for (const fault of typesForgotten) expect(fault).toContain('"quota_exceeded"')
  expect([linesForgotten.code, linesForgotten.output]).toEqual([1, expect.stringContaining('quota_exceeded')])
  for (const { code, output } of docsForgotten) {
    expect([code, output]).toEqual([1, expect.stringContaining(writtenAnew)])
  }
  expect(wrote.code).toBe(0)
  await expectGreen(copy, [
    ['tests/docs/protocol.test.ts', 'each refusal'],
    ['tests/protocol/catalogue.test.ts', 'close code'],
    ['tests/http/openapi.test.ts', writtenAnew],
    ['tests/http/contract-documents.test.ts', `${writtenAnew}|is valid`],
  ])
  const { openapi, asyncapi } = copy.documents()
  expect(openapi.components.schemas['Problem']).toHaveProperty(
    'properties.code.enum',
    expect.arrayContaining(['quota_exceeded']),
  )
  expect(openapi.paths['/api/exports']?.['post']?.responses).toHaveProperty(
    '429.description',
    'rate_limited or quota_exceeded',
  )
  expect(asyncapi.components.schemas).toHaveProperty(
    'error.properties.code.enum',
    expect.arrayContaining(['quota_exceeded']),
  )

  await using server = await serve(copy.root)
  const wanted = { photo_id: 1, preset_name: 'Print', destination: '/exports' }
  await server.api('POST', '/api/photos', { file_path: '/1' })
  const first = await server.api('POST', '/api/exports', wanted)
  const second = await server.api('POST', '/api/exports', wanted)
  const event = { type: 'export_started', ...wanted }
  const reply = await server.client.request({ type: 'publish', command: true, event })

  const sentence = 'one export may run at a time'
  expect([first.status, second.status]).toEqual([201, 429])
  expect(second.headers.get('content-type')).toBe('application/problem+json')
  expect(second.body).toEqual({
    type: 'about:blank',
    title: 'Too Many Requests',
    status: 429,
    detail: sentence,
    code: 'quota_exceeded',
    error: sentence,
  } as never)
  expect(reply).toMatchObject({ type: 'error', code: 'quota_exceeded', error: sentence })
})
