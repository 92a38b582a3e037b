/** The documentation page: both documents as one static HTML page that loads nothing but its stylesheet. */
import { openApiModel } from './docs-document.ts'
import { html, type Chapter, type Group, type Html } from './docs-html.ts'
import { eventsChapter } from './docs-messages.ts'
import { restChapter } from './docs-operations.ts'

export const DOCS_STYLE_PATH = '/docs/style.css'

/**
 * The page for an OpenAPI 3.1 and an AsyncAPI 3.0 document, as one HTML text. Everything from the documents is
 * escaped. It throws where a document is not of its format.
 */
export function docsPage(openApi: object, asyncApi: object): string {
  const { info } = openApiModel.parse(openApi)
  const chapters = [restChapter(openApi), eventsChapter(asyncApi)]
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${info.title} ${info.version}: REST and WebSocket reference</title>
        <link rel="stylesheet" href="${DOCS_STYLE_PATH}" />
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <header class="top">
          <p class="brand">
            <a href="#content">${info.title}</a> <span class="version">${info.version}</span>
          </p>
          <ul class="sources">
            ${chapters.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}
            <li><a href="/openapi.yaml">openapi.yaml</a></li>
            <li><a href="/asyncapi.yaml">asyncapi.yaml</a></li>
          </ul>
        </header>
        <div class="columns">
          <nav class="contents" aria-label="Contents">
            <details>
              <summary>Contents</summary>
              ${chapters.map(contents)}
            </details>
          </nav>
          <main id="content" tabindex="-1">
            <h1>${info.title} reference</h1>
            <p class="lead">
              Every route and every message, from the schemas that the server validates with. Machines read
              the same in <a href="/openapi.yaml">openapi.yaml</a> (OpenAPI 3.1) and
              <a href="/asyncapi.yaml">asyncapi.yaml</a> (AsyncAPI 3.0). Integers lie within ±(2<sup>53</sup>
              − 1); narrower bounds are named.
            </p>
            ${chapters.map(chapterBody)}
          </main>
        </div>
      </body>
    </html> `.text
}

function contents({ id, title, groups }: Chapter): Html {
  const lists = groups.map(
    (group) =>
      html`<li>
        <a class="group" href="#${group.id}">${group.title}</a>
        <ul>
          ${group.entries.map((entry) => html`<li><a href="#${entry.id}">${entry.label}</a></li>`)}
        </ul>
      </li> `,
  )
  return html`<p class="chapter"><a href="#${id}">${title}</a></p>
    <ul class="groups">
      ${lists}
    </ul> `
}

function chapterBody({ id, title, intro, groups }: Chapter): Html {
  return html`<section class="chapter" aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    ${intro} ${groups.map(groupBody)}
  </section> `
}

function groupBody({ id, title, intro, entries }: Group): Html {
  return html`<section class="group" aria-labelledby="${id}">
    <h3 id="${id}">${title}</h3>
    ${intro} ${entries.map((entry) => html`<article id="${entry.id}">${entry.body}</article> `)}
  </section> `
}
