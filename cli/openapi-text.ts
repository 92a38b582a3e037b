/** The text of openapi.yaml: the routes' own schemas, written out. */
import { openApiDocument } from '../lib/http/openapi.ts'
import type { Route } from '../lib/http/route.ts'
import { allRoutes, type RouteServices } from '../lib/http/routes.ts'
import { version } from '../package.json' with { type: 'json' }

/** The routes as they are declared; the services that only an answer would use are not there. */
export function declaredRoutes(): readonly Route[] {
  return allRoutes({} as RouteServices)
}

export function openApiText(): string {
  const document = openApiDocument(declaredRoutes(), version)
  return `# Generated from the schemas that the routes validate with: npm run docs\n${Bun.YAML.stringify(document, null, 2)}\n`
}
