/** HTML that escapes whatever is put into it, and the outline that the documentation page is made of. */

/** Text that is HTML already; only `html` below makes it, so a document can never bring its own. */
class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type { Html }

type Value = Html | string | number | undefined | readonly Value[]

/** A part of the page: the REST routes, the messages. */
export interface Chapter {
  readonly id: string
  readonly title: string
  readonly intro: Html
  readonly groups: readonly Group[]
}

export interface Group {
  readonly id: string
  readonly title: string
  readonly intro?: Html
  readonly entries: readonly Entry[]
}

/** What a reader looks up: an operation, a message, a schema. */
export interface Entry {
  readonly id: string
  /** One line of the table of contents. */
  readonly label: Html
  readonly body: Html
}

/** Escapes every value but `Html`; lists are joined with nothing between, `undefined` is empty. */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  // The indentation is the source's; on the wire it would be a third of the page.
  const parts = strings.map((part, index) => part.replaceAll(/\n\s+/g, '\n') + textOf(values[index]))
  return new Html(parts.join(''))
}

export function joined(parts: readonly Html[], separator: string): Html {
  return html`${parts.map((part, index) => (index === 0 ? part : html`${separator}${part}`))}`
}

/** Paragraphs and code spans of CommonMark, all else as it stands. */
export function prose(text: string | undefined): Html {
  const paragraphs = (text ?? '').split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== '')
  return html`${paragraphs.map((paragraph) => html`<p>${spans(paragraph.trim())}</p>`)}`
}

/** JSON as a reader of the wire would see it. */
export function literal(value: unknown): Html {
  return html`<code class="literal">${JSON.stringify(value)}</code>`
}

export function plural(count: number, noun: string): string {
  return `${figure(count)} ${noun}${count === 1 ? '' : 's'}`
}

// Made once: a locale costs more to look up than all else here.
const figures = new Intl.NumberFormat('en', { maximumFractionDigits: 20 })

/** With its thousands apart: 1,000,000. */
export function figure(value: number): string {
  return figures.format(value)
}

/** An id for a name of a document: what an id or a fragment cannot hold is written as its code. */
export function anchorOf(...names: readonly string[]): string {
  const safe = (name: string) =>
    name.replaceAll(/[^\w.-]/gu, (letter) => `~${letter.codePointAt(0)?.toString(16)}`)
  return names.map(safe).join('-')
}

function textOf(value: Value): string {
  if (value instanceof Html) return value.text
  if (typeof value === 'string') return escape(value)
  if (typeof value === 'number') return String(value)
  return (value ?? []).map(textOf).join('')
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

function spans(text: string): Html {
  return html`${text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? html`<code>${part}</code>` : part))}`
}
