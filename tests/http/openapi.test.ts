import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { declaredRoutes, openApiText } from '../../cli/openapi-text.ts'
import { projectRoot } from '../support/process.ts'

const text = readFileSync(join(projectRoot, 'openapi.yaml'), 'utf8')

test('openapi.yaml is what the routes declare; npm run docs writes it anew', () => {
  expect(text === openApiText()).toBe(true)
})

test('openapi.yaml is OpenAPI 3.1 and names each route once', () => {
  const document = Bun.YAML.parse(text) as {
    openapi: string
    paths: Record<string, Record<string, { operationId: string }>>
  }

  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { operationId }]) => ({ route: `${method} ${path}`, operationId })),
  )

  expect(document.openapi).toStartWith('3.1')
  expect(operations.map(({ route }) => route).toSorted()).toEqual(
    declaredRoutes()
      .map(({ method, path }) => `${method} ${path}`)
      .toSorted(),
  )
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length)
})
