/** The rules of a JSON Schema, one phrase each: bounds, format, pattern, choices, default. */
import type { SchemaObject } from './docs-document.ts'
import { figure, html, joined, literal, plural, type Html } from './docs-html.ts'

/** Longer patterns are folded. */
const LONG_PATTERN = 48

export function rulesOf(schema: SchemaObject): Html[] {
  const keys = schema.propertyNames
  const words = [
    schema.deprecated && 'deprecated',
    schema.readOnly && 'read only',
    schema.writeOnly && 'write only',
    numberRange(schema),
    schema.multipleOf !== undefined && `a multiple of ${schema.multipleOf}`,
    range(schema.minLength, schema.maxLength, 'character'),
    range(schema.minItems, schema.maxItems, 'item'),
    schema.uniqueItems && 'no item twice',
    range(schema.minProperties, schema.maxProperties, 'field'),
  ]
  return [
    ...(schema.format === undefined ? [] : [html`format <code>${schema.format}</code>`]),
    ...words.flatMap((rule) => (rule ? [html`${rule}`] : [])),
    ...(schema.pattern === undefined ? [] : [patternRule(schema.pattern)]),
    ...(typeof keys === 'object' ? rulesOf(keys).map((rule) => html`keys: ${rule}`) : []),
    ...(schema.enum ? [html`one of ${joined(schema.enum.map(choice), ' ')}`] : []),
    ...(schema.default === undefined ? [] : [html`default ${literal(schema.default)}`]),
    ...(schema.examples ?? []).map((example) => html`for example ${literal(example)}`),
  ]
}

/** A text that may be chosen stands without quotes: the type beside it says that it is one. */
function choice(value: unknown): Html {
  return typeof value === 'string' && value !== ''
    ? html`<code class="choice">${value}</code>`
    : literal(value)
}

function patternRule(pattern: string): Html {
  const code = html`<code>${pattern}</code>`
  if (pattern.length <= LONG_PATTERN) return html`pattern ${code}`
  return html`<details class="long">
    <summary>pattern</summary>
    ${code}
  </details>`
}

/** An integer's bounds where JSON numbers stop being exact are no rule of the schema's. */
function numberRange(schema: SchemaObject): string | undefined {
  const { type, minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema
  const isRule = (bound: number | undefined) =>
    bound !== undefined && !(type === 'integer' && Math.abs(bound) >= Number.MAX_SAFE_INTEGER)
  const low = isRule(minimum) ? minimum : undefined
  const high = isRule(maximum) ? maximum : undefined
  if (low !== undefined && high !== undefined) return `${figure(low)} – ${figure(high)}`
  const bounds = [
    low !== undefined && `≥ ${figure(low)}`,
    exclusiveMinimum !== undefined && `> ${figure(exclusiveMinimum)}`,
    high !== undefined && `≤ ${figure(high)}`,
    exclusiveMaximum !== undefined && `< ${figure(exclusiveMaximum)}`,
  ]
  return bounds.filter(Boolean).join(', ')
}

function range(low: number | undefined, high: number | undefined, noun: string): string | undefined {
  if (high === undefined) return low === undefined ? undefined : `at least ${plural(low, noun)}`
  if (low === undefined) return `at most ${plural(high, noun)}`
  return low === high ? `exactly ${plural(low, noun)}` : `${figure(low)} – ${plural(high, noun)}`
}
