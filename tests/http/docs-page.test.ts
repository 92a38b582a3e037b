import { expect, test } from 'bun:test'
import { declaredRoutes } from '../../cli/openapi-text.ts'
import { DOCS_STYLE_PATH, docsPage } from '../../lib/http/docs-page.ts'
import { docsStyle } from '../../lib/http/docs-style.ts'
import { openApiDocument } from '../../lib/http/openapi.ts'

const routes = declaredRoutes()
const realOpenApi = openApiDocument(routes, '1.2.3')

const realPage = docsPage(realOpenApi, asyncApi())

test('the page names each route once, with its method, path and summary, and the contents link to it', () => {
  const page = realPage.replaceAll('<wbr />', '')
  const headings = page
    .split('<article ')
    .slice(1)
    .map((article) => textOf(article.split('<h5>')[0] ?? ''))
  const contents = textOf(page.split('<nav ')[1]?.split('</nav>')[0] ?? '')

  for (const { method, path, summary } of routes) {
    const name = `${method.toUpperCase()} ${path} `
    const mine = headings.filter((heading) => heading.includes(name))
    expect(mine.length).toBe(1)
    expect(mine[0]).toContain(summary)
    expect(contents.split(name).length).toBe(2)
  }
})

test('every link within the page has a target, and no id is used twice', () => {
  const page = realPage
  const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id)
  const targets = [...page.matchAll(/ href="#([^"]*)"/g)].map(([, id]) => id)

  expect(targets.length).toBeGreaterThan(100)
  expect(targets.filter((id) => !ids.includes(id))).toEqual([])
  expect(new Set(ids).size).toBe(ids.length)
})

test('the page loads its own stylesheet and nothing else', () => {
  const loaded = [...realPage.matchAll(/<(\w+)[^>]* (?:src|srcset|action|data|poster)=/g)]
  const linked = [...realPage.matchAll(/<link [^>]*>/g)].map(([tag]) => tag)

  expect(loaded).toEqual([])
  expect(linked).toEqual([`<link rel="stylesheet" href="${DOCS_STYLE_PATH}" />`])
  expect(realPage).not.toMatch(/<(script|style|iframe|img|form|base|object)\b| style=| on\w+=/)
  expect(docsStyle).not.toMatch(/@import|url\(|https?:/)
})

test('whatever a document says is shown as text, at every place it can stand', () => {
  const evil = `<img src=x onerror="alert(1)">'&`
  const page = docsPage(poisoned(realOpenApi, evil), poisoned(asyncApi(), evil))

  expect(page).toContain('&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#39;&amp;')
  expect(page).not.toContain('<img')
  expect(page).not.toMatch(/<[a-z]+[^<>]* onerror/)
})

test('a field shows its type, bounds, choices, default and whether it is required', () => {
  const page = docsPage(
    openApi({
      Thing: {
        type: 'object',
        required: ['name'],
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 200, description: 'of the thing' },
          size: { anyOf: [{ type: 'integer', exclusiveMinimum: 0 }, { type: 'null' }], default: null },
          state: { type: 'string', enum: ['on', 'off'] },
          ratio: { type: 'number', minimum: 0, maximum: 0.5 },
          tags: { type: 'array', items: { type: ['string', 'null'] }, maxItems: 3 },
          extra: { type: 'object', additionalProperties: { type: 'boolean' } },
        },
      },
    }),
    asyncApi(),
  )

  expect(row(page, 'name')).toBe('name required | string | of the thing 1 – 200 characters')
  expect(row(page, 'size')).toBe('size | integer | null | > 0 default null')
  expect(row(page, 'state')).toBe('state | string | one of on off')
  expect(row(page, 'ratio')).toBe('ratio | number | 0 – 0.5')
  expect(row(page, 'tags')).toBe('tags | array of string | null | at most 3 items')
  expect(row(page, 'extra')).toBe('extra | map of boolean |')
})

test('a schema that holds itself is a link to itself', () => {
  const tree = { type: 'object', properties: { below: { type: 'array', items: ref('Tree') } } }

  const page = docsPage(openApi({ Tree: tree }), asyncApi())

  expect(page).toContain('<article id="schema-Tree">')
  expect(page).toContain('array of</span> <a href="#schema-Tree">Tree</a>')
})

test('a reference that leads nowhere, or around, is named and breaks nothing', () => {
  const page = docsPage(
    openApi({ A: ref('A'), B: ref('gone'), C: { $ref: 'https://elsewhere/x' } }),
    asyncApi(),
  )

  expect(page).toContain('<code>#/components/schemas/gone</code>')
  expect(page).toContain('<code>https://elsewhere/x</code>')
})

test('an operation shows the right that it needs, its answers with their headers, and its parameters', () => {
  const page = docsPage(openApi({}), asyncApi())

  const article = textOf(articleOf(page, 'operation-getThings'))

  expect(article).toContain('Needs a bearer token with things:read')
  expect(article).toContain('limit required query integer 1 – 500 default 100')
  expect(article).toMatch(/200 all of them .*array of string.* header Cursor string/)
  expect(textOf(page)).toContain('Open: needs no token')
})

test('a message shows its direction, its fields and what answers it', () => {
  const page = docsPage(openApi({}), asyncApi())

  expect(textOf(articleOf(page, 'message-socket-ask'))).toBe(
    'ask client → server says ask Answered by told Field Type Meaning and rules type required "ask"',
  )
  expect(textOf(articleOf(page, 'message-socket-told'))).toContain('told server → client')
  expect(textOf(articleOf(page, 'message-news-job'))).toContain('job server → client')
})

test('a schema that is a payload is shown with its message, once, and references to it lead there', () => {
  const page = docsPage(openApi({}), asyncApi())

  expect(articleOf(page, 'message-socket-told')).toContain('<a href="#message-news-job">Job</a>')
  expect(page.split('<code>progress</code>').length).toBe(2)
})

function openApi(schemas: object): object {
  const limit = { type: 'integer', minimum: 1, maximum: 500, default: 100 }
  const list = { type: 'array', items: { type: 'string' } }
  return {
    openapi: '3.1.1',
    info: { title: 'Things', version: '1' },
    paths: {
      '/things': {
        get: {
          operationId: 'getThings',
          security: [{ bearer: ['things:read'] }],
          parameters: [{ $ref: '#/components/parameters/limit' }],
          responses: {
            '200': {
              description: 'all of them',
              headers: { Cursor: { schema: { type: 'string' } } },
              content: { 'application/json': { schema: list } },
            },
          },
        },
        post: { security: [], responses: {} },
      },
    },
    components: {
      parameters: { limit: { name: 'limit', in: 'query', required: true, schema: limit } },
      schemas,
    },
  }
}

/** One channel where a client asks and gets a reply, and one whose operation names no message: all are meant. */
function asyncApi(): object {
  const message = (name: string, payload: object = {}) => ({ name, summary: `says ${name}`, payload })
  const inChannel = (channel: string, name: string) => ({ $ref: `#/channels/${channel}/messages/${name}` })
  return {
    asyncapi: '3.0.0',
    info: { title: 'Things', version: '1', description: 'On `one` socket.' },
    servers: { here: { host: '127.0.0.1:5100', protocol: 'ws', pathname: '/ws' } },
    channels: {
      socket: {
        address: '/ws',
        messages: {
          ask: { $ref: '#/components/messages/ask' },
          told: { $ref: '#/components/messages/told' },
        },
      },
      news: { address: '/ws', messages: { job: { $ref: '#/components/messages/job' } } },
    },
    operations: {
      asks: {
        action: 'receive',
        channel: { $ref: '#/channels/socket' },
        messages: [inChannel('socket', 'ask')],
        reply: { messages: [inChannel('socket', 'told')] },
      },
      reports: { action: 'send', channel: { $ref: '#/channels/news' } },
    },
    components: {
      messages: {
        ask: message('ask', { type: 'object', properties: { type: { const: 'ask' } }, required: ['type'] }),
        told: message('told', { oneOf: [ref('Job'), { type: 'string', maxLength: 5 }] }),
        job: message('job', ref('Job')),
      },
      schemas: { Job: { type: 'object', properties: { progress: { type: 'number' } } } },
    },
  }
}

function ref(name: string) {
  return { $ref: `#/components/schemas/${name}` }
}

function articleOf(page: string, id: string): string {
  return page.split(`<article id="${id}">`)[1]?.split('</article>')[0] ?? ''
}

/** What a reader sees. */
function textOf(page: string): string {
  return page
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll(/\s+/g, ' ')
    .trim()
}

/** The cells of a field's row. */
function row(page: string, field: string): string | undefined {
  const rows = [...page.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, cells = '']) =>
    cells
      .split('<td')
      .map((cell, index) => textOf(index === 0 ? cell : `<td${cell}`))
      .join(' | ')
      .trim(),
  )
  return rows.find((cells) => cells.split(' ')[0] === field)
}

/** The same document with every free text replaced, and names that are free lengthened by it. */
function poisoned(document: object, evil: string): object {
  const free = [
    'title',
    'version',
    'summary',
    'description',
    'default',
    'pattern',
    'format',
    'name',
    'address',
  ]
  const walk = (node: unknown, under: string): unknown => {
    if (Array.isArray(node))
      return node.map((item) => (under === 'enum' || under === 'tags' ? evil : walk(item, '')))
    if (typeof node !== 'object' || node === null) return free.includes(under) ? evil : node
    const isNames = ['properties', 'headers', 'content', 'paths', 'responses', 'bearer'].includes(under)
    const entries = Object.entries(node).map(([name, item]) =>
      isNames ? [name + evil, walk(item, '')] : [name, walk(item, name)],
    )
    return Object.fromEntries(entries)
  }
  return Object(walk(document, ''))
}
