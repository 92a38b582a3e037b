/** What explains the server to people and programs: the contract's documents and the page that renders them. */
import type { Document } from './app.ts'
import { asyncApiDocument } from './asyncapi.ts'
import { DOCS_STYLE_PATH, docsPage } from './docs-page.ts'
import { docsStyle } from './docs-style.ts'
import { openApiDocument } from './openapi.ts'
import type { Route } from './route.ts'

/** By path; each is made when it is first asked for. */
export function contractDocuments(routes: readonly Route[], version: string): ReadonlyMap<string, Document> {
  const openApi = once(() => openApiDocument(routes, version))
  const asyncApi = once(() => asyncApiDocument(version))
  const page = (contentType: string, text: () => string) => ({ contentType, text: once(text) })
  return new Map([
    ['/docs', page('text/html; charset=utf-8', () => docsPage(openApi(), asyncApi()))],
    [DOCS_STYLE_PATH, page('text/css; charset=utf-8', () => docsStyle)],
    ['/openapi.yaml', page('application/yaml', () => Bun.YAML.stringify(openApi(), null, 2))],
    ['/openapi.json', page('application/json', () => JSON.stringify(openApi()))],
    ['/asyncapi.yaml', page('application/yaml', () => Bun.YAML.stringify(asyncApi(), null, 2))],
    ['/asyncapi.json', page('application/json', () => JSON.stringify(asyncApi()))],
  ])
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => (made ??= { value: make() }).value
}
