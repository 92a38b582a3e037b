/** What explains the server to people and programs: the contract's documents and the page that renders them. */
import type { Document } from './app.ts'
import { openApiDocument } from './openapi.ts'
import type { Route } from './route.ts'

/** By path; each is made when it is first asked for. */
export function contractDocuments(routes: readonly Route[], version: string): ReadonlyMap<string, Document> {
  const openApi = once(() => openApiDocument(routes, version))
  return new Map([
    [
      '/openapi.yaml',
      { contentType: 'application/yaml', text: once(() => Bun.YAML.stringify(openApi(), null, 2)) },
    ],
    ['/openapi.json', { contentType: 'application/json', text: once(() => JSON.stringify(openApi())) }],
  ])
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined
  return () => (made ??= { value: make() }).value
}
