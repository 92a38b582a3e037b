/** JSON Schema as HTML: a type in one line, its rules as a list, the fields of an object as a table. */
import type { Schema, SchemaObject } from './docs-document.ts'
import { anchorOf, html, joined, literal, prose, type Group, type Html } from './docs-html.ts'
import { rulesOf } from './docs-rules.ts'

/** The named schemas of one document; `prefix` keeps their ids apart from another document's. */
export interface SchemaBook {
  readonly prefix: string
  readonly schemas: Readonly<Record<string, Schema>>
  /** Ids of those that are shown elsewhere on the page, by name: a message's payload is shown with the message. */
  readonly homes?: ReadonlyMap<string, string>
}

/** The type in one line: `integer | null`, `array of Photo`. A reference is a link and never opened here. */
export function typeLine(schema: Schema, book: SchemaBook): Html {
  if (typeof schema === 'boolean') return word(schema ? 'any value' : 'not allowed')
  if (schema.$ref !== undefined) return link(schema.$ref, book)
  if (schema.const !== undefined) return literal(schema.const)
  const options = schema.anyOf ?? schema.oneOf ?? schema.allOf
  if (options && !options.every(onlyRequires)) {
    const lines = options.map((option) => memberLine(option, book))
    return joined(lines, schema.anyOf || schema.oneOf ? ' | ' : ' & ')
  }
  const types = [schema.type ?? impliedType(schema)].flat()
  return joined(
    types.map((type) => simpleType(type, schema, book)),
    ' | ',
  )
}

/** All that there is to say beside the type: rules, meaning, and what is inside. */
export function explain(schema: Schema, book: SchemaBook): Html {
  return html`${meaning(schema)}${inside(schema, book)}`
}

/** What a whole body holds; a named schema is opened here, once, so that its fields need no second look. */
export function contentsOf(schema: Schema, book: SchemaBook): Html {
  const name = typeof schema === 'boolean' ? undefined : schemaName(schema.$ref)
  const meant = name === undefined ? undefined : book.schemas[name]
  return html`<div class="schema">${explain(meant ?? schema, book)}</div>`
}

/** The named schemas, each with the id that references link to. */
export function schemaGroup(title: string, book: SchemaBook): Group {
  const homeless = Object.entries(book.schemas).filter(([name]) => !book.homes?.has(name))
  const entries = homeless.map(([name, schema]) => {
    const id = anchorOf(book.prefix, name)
    const body = html`<h4>
        <a class="self" href="#${id}"><code>${name}</code></a>
      </h4>
      <p class="type">${typeLine(schema, book)}</p>
      ${contentsOf(schema, book)}`
    return { id, label: html`<code>${name}</code>`, body }
  })
  return { id: `${book.prefix}s`, title, entries }
}

function word(text: string): Html {
  return html`<span class="word">${text}</span>`
}

function link(ref: string, book: SchemaBook): Html {
  const name = schemaName(ref)
  if (name === undefined || !Object.hasOwn(book.schemas, name)) return html`<code>${ref}</code>`
  return html`<a href="#${book.homes?.get(name) ?? anchorOf(book.prefix, name)}">${name}</a>`
}

/** The name that a reference to one of the document's schemas has. */
export function schemaName(ref: string | undefined): string | undefined {
  return /^#\/components\/schemas\/([^/]+)$/.exec(ref ?? '')?.[1]
}

/** Such members of a union say which fields there must be, not what the value is; a description tells it better. */
function onlyRequires(member: Schema): boolean {
  return typeof member === 'object' && Object.keys(member).every((keyword) => keyword === 'required')
}

function impliedType(schema: SchemaObject): string {
  if (schema.properties || schema.additionalProperties !== undefined) return 'object'
  if (schema.items !== undefined || schema.prefixItems) return 'array'
  if (schema.not !== undefined) return allowsAll(schema.not) ? 'not allowed' : 'any value'
  return schema.enum ? 'value' : 'any value'
}

function allowsAll(schema: Schema): boolean {
  return typeof schema === 'boolean' ? schema : Object.keys(schema).length === 0
}

function simpleType(type: string, schema: SchemaObject, book: SchemaBook): Html {
  if (type === 'array') {
    if (schema.prefixItems) {
      return html`${word('tuple of')}
      ${joined(
        schema.prefixItems.map((item) => typeLine(item, book)),
        ', ',
      )}`
    }
    return schema.items === undefined
      ? word('array')
      : html`${word('array of')} ${grouped(schema.items, book)}`
  }
  const values = schema.additionalProperties
  if (type === 'object' && !schema.properties && values !== undefined && values !== false) {
    return html`${word('map of')} ${grouped(values, book)}`
  }
  return word(type === 'object' ? (schema.title ?? type) : type)
}

/** A union in an array needs brackets, or it reads as a union of an array. */
function grouped(schema: Schema, book: SchemaBook): Html {
  const union = typeof schema === 'object' && (schema.anyOf ?? schema.oneOf ?? []).length > 1
  return union ? html`(${typeLine(schema, book)})` : typeLine(schema, book)
}

/** Description and rules. */
function meaning(schema: Schema): Html {
  const told = bare(schema)
  const rules = rulesOf(told).map((rule) => html`<li>${rule}</li>`)
  return html`${prose(told.description)}${
    rules.length > 0
      ? html`<ul class="rules">
          ${rules}
        </ul>`
      : undefined
  }`
}

/** A union of one type and null is told as that type, with what stands beside the union. */
function bare(schema: Schema): SchemaObject {
  if (typeof schema === 'boolean') return {}
  const { anyOf, oneOf, ...beside } = schema
  const options = (anyOf ?? oneOf ?? []).filter(
    (option) => typeof option === 'boolean' || option.type !== 'null',
  )
  const [only] = options
  return options.length === 1 && typeof only === 'object' ? { ...bare(only), ...beside } : schema
}

/** What a value holds: fields, items, values of a map, members of a union. */
function inside(schema: Schema, book: SchemaBook): Html {
  const told = bare(schema)
  const { properties, items, additionalProperties, anyOf, oneOf, allOf, prefixItems, not } = told
  return html`${properties ? fieldTable(told, book) : undefined}${part('each item', items, book)}${
    properties ? undefined : part('each value', additionalProperties, book)
  }${memberList('one of these', anyOf ?? oneOf, book)}${memberList('all of these', allOf, book)}${memberList(
    'in this order',
    prefixItems,
    book,
  )}${
    not === undefined || allowsAll(not)
      ? undefined
      : html`<p class="label">but not <span class="type">${typeLine(not, book)}</span></p>
          ${explain(not, book)}`
  }`
}

function part(label: string, schema: Schema | undefined, book: SchemaBook): Html {
  const told = schema === undefined ? html`` : explain(schema, book)
  return told.text === ''
    ? told
    : html`<div class="part">
        <p class="label">${label}</p>
        ${told}
      </div>`
}

/** The members one under the other, where one of them has more to say than its type. */
function memberList(label: string, members: readonly Schema[] = [], book: SchemaBook): Html {
  const told = members.map((member) => explain(member, book))
  if (told.every(({ text }) => text === '')) return html``
  const lines = members.map(
    (member, index) =>
      html`<li>
        <p class="type">${memberLine(member, book)}</p>
        ${told[index]}
      </li>`,
  )
  return html`<div class="part">
    <p class="label">${label}</p>
    <ul class="members">
      ${lines}
    </ul>
  </div>`
}

/** Objects of a union are told apart by the fields that have one value only. */
function memberLine(member: Schema, book: SchemaBook): Html {
  if (typeof member === 'boolean' || !member.properties) return typeLine(member, book)
  const fixed = Object.entries(member.properties).flatMap(([name, field]) =>
    typeof field === 'object' && field.const !== undefined ? [html`${name}: ${literal(field.const)}`] : [],
  )
  return fixed.length === 0 ? typeLine(member, book) : html`{${joined(fixed, ', ')}}`
}

function fieldTable(schema: SchemaObject, book: SchemaBook): Html {
  const rest = schema.additionalProperties
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) =>
    fieldRow(html`<code>${name}</code>`, schema.required?.includes(name) ?? false, field, book),
  )
  const others =
    rest === undefined || rest === false ? [] : [fieldRow(html`<em>any other</em>`, false, rest, book)]
  if (rows.length + others.length === 0) return html`<p class="none">no fields</p>`
  return html`<table class="fields">
    <thead>
      <tr>
        <th scope="col">Field</th>
        <th scope="col">Type</th>
        <th scope="col">Meaning and rules</th>
      </tr>
    </thead>
    <tbody>
      ${rows}${others}
    </tbody>
  </table> `
}

/** What is inside a field has a row of its own, as wide as the table. */
function fieldRow(name: Html, isRequired: boolean, field: Schema, book: SchemaBook): Html {
  const within = inside(field, book)
  return html`<tr>
      <th scope="row">${name}${isRequired ? requiredMark() : undefined}</th>
      <td class="type">${typeLine(field, book)}</td>
      <td>${meaning(field)}</td>
    </tr>
    ${
      within.text === ''
        ? undefined
        : html`<tr class="within">
            <td colspan="3">${within}</td>
          </tr> `
    }`
}

export function requiredMark(): Html {
  return html` <span class="required">required</span>`
}
