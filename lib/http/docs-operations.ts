/** The REST chapter of the documentation page: every operation of an OpenAPI 3.1 document, by tag. */
import type * as z from 'zod'
import {
  answerModel,
  bodyModel,
  follow,
  headerModel,
  openApiModel,
  operationModel,
  parameterModel,
  type Operation,
  type Schema,
} from './docs-document.ts'
import { anchorOf, html, joined, prose, type Chapter, type Entry, type Html } from './docs-html.ts'
import { explain, requiredMark, contentsOf, schemaGroup, typeLine, type SchemaBook } from './docs-schema.ts'

const methods = ['get', 'put', 'post', 'patch', 'delete', 'head', 'options', 'trace'] as const

interface Source {
  readonly document: object
  readonly security: Operation['security']
  readonly book: SchemaBook
}

interface Place {
  readonly method: (typeof methods)[number]
  readonly path: string
  readonly operation: Operation
}

export function restChapter(openApi: object): Chapter {
  const { info, servers, security, tags, paths, components } = openApiModel.parse(openApi)
  const source = { document: openApi, security, book: { prefix: 'schema', schemas: components.schemas } }
  const places = Object.entries(paths).flatMap(([path, item]) => placesOf(path, item, openApi))
  const used = places.map(({ operation }) => operation.tags[0] ?? 'other')
  const names = [...new Set([...tags.map(({ name }) => name), ...used])].filter((name) => used.includes(name))
  const groups = names.map((name) => ({
    id: anchorOf('tag', name),
    title: name,
    intro: prose(tags.find((tag) => tag.name === name)?.description),
    entries: places.filter((_, index) => used[index] === name).map((place) => entry(place, source)),
  }))
  return {
    id: 'rest',
    title: 'REST',
    intro: html`${prose(info.description ?? info.summary)}${servers.map(
      ({ url, description }) => html`<p class="server"><code>${url}</code> ${description}</p>`,
    )}`,
    groups: [...groups, schemaGroup('Schemas', source.book)],
  }
}

function placesOf(path: string, item: unknown, document: object): Place[] {
  const members = new Map(Object.entries(follow(document, item).value ?? {}))
  const shared: unknown = members.get('parameters')
  return methods.flatMap((method) => {
    if (!members.has(method)) return []
    const operation = operationModel.parse(members.get(method))
    const inherited: unknown[] = Array.isArray(shared) ? shared : []
    return [
      { method, path, operation: { ...operation, parameters: [...inherited, ...operation.parameters] } },
    ]
  })
}

function entry({ method, path, operation }: Place, source: Source): Entry {
  const id = anchorOf('operation', operation.operationId ?? `${method}-${path}`)
  const heading = html`<span class="badge ${method}">${method.toUpperCase()}</span>
    <code>${breakable(path)}</code>`
  const body = html`<h4><a class="self" href="#${id}">${heading}</a></h4>
    <p class="summary">
      ${operation.summary}${operation.deprecated ? html` <span class="required">deprecated</span>` : undefined}
    </p>
    <p class="needs">${needs(operation.security ?? source.security)}</p>
    ${prose(operation.description)} ${parameterTable(operation, source)} ${requestBody(operation, source)}
    ${answers(operation, source)}`
  return { id, label: heading, body }
}

/** A long path may break after its slashes. */
function breakable(path: string): Html {
  return joined(
    path.split(/(?<=\/)(?=.)/).map((step) => html`${step}<wbr />`),
    '',
  )
}

/** One of the list is enough; an empty list, or an empty member, lets everybody in. */
function needs(security: Operation['security'] = []): Html {
  if (security.every((schemes) => Object.keys(schemes).length === 0)) return html`Open: needs no token`
  const ways = security.map((schemes) => {
    const all = Object.entries(schemes).map(([scheme, rights]) => {
      const granted = rights.map((right) => html` <code class="right">${right}</code>`)
      return html`a ${scheme} token${rights.length > 0 ? html` with${granted}` : undefined}`
    })
    return all.length === 0 ? html`nothing` : joined(all, ' and ')
  })
  return html`Needs ${joined(ways, ' or ')}`
}

function parameterTable({ parameters }: Operation, { document, book }: Source): Html {
  if (parameters.length === 0) return html``
  const rows = parameters.map((parameter) => {
    const { name, in: place, required, description, schema } = read(parameterModel, document, parameter)
    return html`<tr>
      <th scope="row"><code>${name}</code>${required ? requiredMark() : undefined}</th>
      <td class="in">${place}</td>
      <td class="type">${typeLine(schema, book)}</td>
      <td>${prose(description)}${explain(unless(description, schema), book)}</td>
    </tr> `
  })
  return html`<h5>Parameters</h5>
    <table class="fields parameters">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">In</th>
          <th scope="col">Type</th>
          <th scope="col">Meaning and rules</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>`
}

/** A schema whose description has been said already. */
function unless(said: string | undefined, schema: Schema): Schema {
  return typeof schema === 'object' && schema.description === said
    ? { ...schema, description: undefined }
    : schema
}

function requestBody({ requestBody: declared }: Operation, { document, book }: Source): Html {
  if (declared === undefined) return html``
  const { description, required, content } = read(bodyModel, document, declared)
  const bodies = Object.entries(content).map(
    ([type, { schema = true }]) =>
      html`<p>${typeAndMedia(schema, type, book)}</p>
        ${contentsOf(schema, book)}`,
  )
  return html`<h5>Body ${required ? requiredMark() : html`<span class="optional">optional</span>`}</h5>
    ${prose(description)}${bodies}`
}

function answers({ responses }: Operation, source: Source): Html {
  const items = Object.entries(responses).map(([status, declared]) => {
    const { description, headers, content } = read(answerModel, source.document, declared)
    const bodies = Object.entries(content).map(([type, { schema = true }]) => {
      const line = typeAndMedia(schema, type, source.book)
      // Refusals all have one shape: its link is enough.
      if (!status.startsWith('2')) return html`<p class="body">${line}</p>`
      return html`<details${isNamed(schema) ? undefined : html` open`}><summary>${line}</summary>${contentsOf(schema, source.book)}</details>`
    })
    return html`<li>
      <span class="status s${statusClass(status)}">${status}</span>
      <div class="meaning">${prose(description)}</div>
      ${bodies}${headerList(headers, source)}
    </li> `
  })
  return items.length === 0
    ? html``
    : html`<h5>Answers</h5>
        <ul class="answers">
          ${items}
        </ul>`
}

function typeAndMedia(schema: Schema, media: string, book: SchemaBook): Html {
  return html`<span class="type">${typeLine(schema, book)}</span> <code class="media">${media}</code>`
}

/** A named schema has a place of its own, so it may stay folded here. */
function isNamed(schema: Schema): boolean {
  return typeof schema === 'object' && schema.$ref !== undefined
}

function statusClass(status: string): string {
  return /^[1-5]/.exec(status)?.[0] ?? 'other'
}

function headerList(headers: Readonly<Record<string, unknown>>, { document, book }: Source): Html {
  const rows = Object.entries(headers).map(([name, declared]) => {
    const { description, schema } = read(headerModel, document, declared)
    return html`<dt>header <code>${name}</code> <span class="type">${typeLine(schema, book)}</span></dt>
      <dd>${prose(description)}${explain(unless(description, schema), book)}</dd>`
  })
  return rows.length === 0 ? html`` : html`<dl class="headers">${rows}</dl>`
}

function read<M extends z.ZodType>(model: M, document: object, value: unknown): z.output<M> {
  return model.parse(follow(document, value).value)
}
