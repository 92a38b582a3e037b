/** The stylesheet of the documentation page: light and dark, desktop, phone and paper, system fonts only. */

const colours = `
:root {
  color-scheme: light dark;
  --ground: #f6f4ef; --panel: #fffefb; --sunk: #f1eee7; --line: #e0dbd0; --ink: #1f1c17; --soft: #635c50;
  --accent: #98480a; --accent-ground: #fbe9d2; --mark: #b3261e;
  --green: #0c6a45; --green-ground: #d8f1e4; --blue: #1a55a8; --blue-ground: #dde9fb;
  --violet: #6a3aa8; --violet-ground: #ebe2f9; --red: #a8281f; --red-ground: #fbe1de;
  --shadow: 0 1px 2px rgb(60 45 20 / 7%), 0 4px 16px rgb(60 45 20 / 4%);
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #14130f; --panel: #1d1b17; --sunk: #25231e; --line: #38352d; --ink: #ece7dc; --soft: #aba291;
    --accent: #ffb35c; --accent-ground: #402a10; --mark: #ff8f85;
    --green: #6fdcab; --green-ground: #10382a; --blue: #8fbcff; --blue-ground: #172f55;
    --violet: #c9a8ff; --violet-ground: #33224f; --red: #ff9c93; --red-ground: #4a1a17;
    --shadow: none;
  }
}
`

const base = `
*, *::before, *::after { box-sizing: border-box; }
html { scroll-padding-top: 4.5rem; text-size-adjust: 100%; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  overflow-wrap: break-word;
}
code, pre, .type, .badge, .status { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: .875em; }
sup { line-height: 0; }
p { margin: 0 0 .5rem; max-width: 70ch; }
p:last-child { margin-bottom: 0; }
a { color: var(--accent); text-underline-offset: .2em; text-decoration-thickness: 1px; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .25rem; }
main:focus { outline: none; }
summary { cursor: pointer; }
h1, h2, h3, h4, h5 { line-height: 1.25; margin: 0; text-wrap: balance; }
.skip { position: absolute; left: 1rem; top: -4rem; z-index: 3; padding: .5rem 1rem; background: var(--panel); border-radius: .5rem; }
.skip:focus { top: .5rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`

const frame = `
.top {
  position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between;
  gap: .25rem 1.5rem; padding: .75rem max(1.5rem, calc((100vw - 86rem) / 2 + 1.5rem)); background: var(--panel); border-bottom: 1px solid var(--line);
}
.brand { margin: 0; font-weight: 700; font-size: 1.125rem; letter-spacing: -.01em; }
.brand a { color: inherit; text-decoration: none; }
.brand a::before {
  content: ""; display: inline-block; width: .7em; height: .7em; margin-right: .5em; border-radius: 50%;
  background: var(--accent); box-shadow: 0 0 0 .2em var(--accent-ground);
}
.version { font-weight: 400; font-size: .875rem; color: var(--soft); }
.sources { display: flex; flex-wrap: wrap; gap: 0 1.125rem; margin: 0; padding: 0; list-style: none; font-size: .9375rem; }
.columns { display: grid; grid-template-columns: 20rem minmax(0, 1fr); max-width: 86rem; margin: 0 auto; }
.contents {
  position: sticky; top: 3.2rem; align-self: start; max-height: calc(100vh - 3.2rem); overflow-y: auto;
  padding: 1.5rem 1rem 3rem; border-right: 1px solid var(--line); font-size: .875rem; scrollbar-width: thin;
}
.contents ul { margin: 0; padding: 0; list-style: none; }
.contents .chapter { margin: 1.75rem 0 .25rem; font-weight: 700; font-size: 1rem; }
.contents summary + .chapter { margin-top: 0; }
.contents a { display: block; padding: .2rem .5rem; border-radius: .375rem; color: var(--ink); text-decoration: none; }
.contents a:hover { background: var(--accent-ground); }
.contents .group { margin-top: .75rem; font-weight: 600; color: var(--soft); font-size: .8125rem; letter-spacing: .02em; }
.contents li li a { padding-left: 3.6rem; text-indent: -3.1rem; }
.contents li li a:not(:has(.badge, .way)) { padding-left: .5rem; text-indent: 0; }
.contents li li a:has(.way) { padding-left: 1.7rem; text-indent: -1.2rem; }
.contents .badge { display: inline-block; width: 2.8rem; padding: 0; text-indent: 0; background: none; font-size: .625rem; }
.way { display: inline-block; width: .9rem; text-indent: 0; font-weight: 700; }
.way.send { color: var(--green); }
.way.receive { color: var(--blue); }
main { padding: 2rem 2.5rem 6rem; min-width: 0; }
h1 { font-size: 2rem; letter-spacing: -.02em; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.5rem; letter-spacing: -.015em; }
h3 { margin: 3rem 0 1rem; font-size: 1.125rem; }
h3::first-letter, .contents .group::first-letter { text-transform: uppercase; }
h3::after { content: ""; display: block; margin-top: .5rem; border-top: 2px solid var(--line); }
.server { color: var(--soft); }
.server code { color: var(--ink); }
`

const entries = `
article {
  margin: 1rem 0; padding: 1.25rem 1.5rem 1.5rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: .75rem; box-shadow: var(--shadow); scroll-margin-top: 4.5rem;
}
article:target { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
h4 { font-size: 1.0625rem; margin-bottom: .375rem; }
h4 code { font-size: 1em; font-weight: 600; }
.self { color: inherit; text-decoration: none; }
.self:hover code { text-decoration: underline; text-underline-offset: .25em; }
h5 { margin: 1.5rem 0 .5rem; font-size: .8125rem; color: var(--soft); text-transform: uppercase; letter-spacing: .06em; }
.badge { padding: .15em .55em; border-radius: .375rem; font-size: .75rem; font-weight: 700; vertical-align: .1em; white-space: nowrap; }
.get, .send { color: var(--green); background: var(--green-ground); }
.post, .receive { color: var(--blue); background: var(--blue-ground); }
.put, .patch { color: var(--violet); background: var(--violet-ground); }
.delete { color: var(--red); background: var(--red-ground); }
.way.send, .way.receive { background: none; }
.summary { font-size: 1.0625rem; }
.lead { margin-top: .75rem; color: var(--soft); }
.needs, .media, .none, .label, .optional { color: var(--soft); font-size: .875rem; }
.right { padding: .1em .45em; border-radius: .375rem; background: var(--accent-ground); color: var(--accent); font-weight: 600; }
.required { font: 500 .75rem/1.4 system-ui, sans-serif; color: var(--mark); text-transform: none; letter-spacing: 0; white-space: nowrap; }
.optional { font-weight: 400; text-transform: none; letter-spacing: 0; }
details > summary { color: var(--soft); font-size: .875rem; }
details > summary:hover { color: var(--ink); }
details[open] > summary { margin-bottom: .5rem; }
pre { margin: 0; padding: .75rem 1rem; overflow-x: auto; background: var(--sunk); border-radius: .5rem; line-height: 1.45; }
`

const schemas = `
table { width: 100%; border-collapse: collapse; font-size: .9375rem; table-layout: fixed; }
th, td { padding: .5rem .75rem .5rem 0; text-align: left; vertical-align: baseline; border-top: 1px solid var(--line); }
thead th { padding-top: 0; border-top: 0; font-size: .75rem; font-weight: 600; color: var(--soft); }
tbody th { font-weight: 600; }
td:last-child, th:last-child { padding-right: 0; }
.answers { margin: 0; padding: 0; list-style: none; }
.answers > li { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .75rem; padding: .3rem 0; border-top: 1px solid var(--line); }
.answers .status { width: 2.5rem; }
.answers .meaning { flex: 0 1 13rem; font-size: .9375rem; }
.answers .body { margin: 0; }
.answers > li > details { flex: 1 1 20rem; min-width: 0; }
.answers > li > :is(details[open], .headers) { flex-basis: 100%; }
.type { font-size: .8125rem; line-height: 1.9; color: var(--ink); }
td.type { line-height: 1.7; }
.in { color: var(--soft); font-size: .875rem; }
.rules { display: flex; flex-wrap: wrap; gap: .3rem .4rem; margin: 0; padding: 0; list-style: none; font-size: .8125rem; color: var(--soft); }
.rules li { padding: .05rem .5rem; background: var(--sunk); border-radius: .375rem; max-width: 100%; }
.rules code { color: var(--ink); overflow-wrap: anywhere; }
.choice { display: inline-block; margin-right: .25rem; }
.type code { font-size: inherit; }
.rules code { font-size: .75rem; }
.media { font-size: .8125rem; }
p + .rules { margin-top: .35rem; }
.long summary { font-size: inherit; }
.schema > .type { margin-bottom: .25rem; }
.schema > .type + table { margin-top: .5rem; }
.within > td { padding: 0 0 .75rem .25rem; border-top: 0; }
.within table, .part table { margin-top: .25rem; font-size: .875rem; }
.within > td > *, .members > li { padding-left: 1rem; border-left: 2px solid var(--line); }
.within > td > table { border-left: 0; box-shadow: inset 2px 0 var(--line); padding: 0; }
.within > td > table > * > tr > :first-child { padding-left: 1rem; }
.part { margin-top: .5rem; }
.label { margin: 0 0 .25rem; }
.members { margin: .5rem 0 0; padding: 0; list-style: none; display: grid; gap: .75rem; }
.headers { margin: .5rem 0 0; font-size: .875rem; }
.headers dd { margin: 0; color: var(--soft); }
.status { font-weight: 700; }
.s2 { color: var(--green); }
.s3 { color: var(--blue); }
.s4, .s5 { color: var(--red); }
`

/** Small screens stack what stands side by side; paper needs neither contents nor dark; a schema that is printed under its own name stays folded elsewhere. */
const media = `
@media (width >= 60rem) {
  @supports selector(::details-content) {
    .contents > details::details-content { content-visibility: visible; block-size: auto; }
    .contents > details > summary { display: none; }
    .contents summary + .chapter { margin-top: 0; }
  }
}
@media (width < 60rem) {
  html { scroll-padding-top: 1rem; }
  .top { position: static; padding: .75rem 1rem; }
  .sources { font-size: .875rem; gap: 0 1rem; }
  .columns { display: block; }
  .contents { position: static; max-height: none; padding: .5rem 1rem; border-right: 0; border-bottom: 1px solid var(--line); background: var(--panel); }
  .contents > details > summary { padding: .375rem 0; font-size: 1rem; font-weight: 600; color: var(--ink); }
  .contents a { padding-top: .4rem; padding-bottom: .4rem; }
  main { padding: 1.5rem 1rem 4rem; }
  h1 { font-size: 1.625rem; }
  article { padding: 1rem; scroll-margin-top: 1rem; }
}
@media (width >= 40rem), print {
  .fields > thead th:nth-child(1) { width: 27%; }
  .fields > thead th:nth-child(2) { width: 27%; }
  .parameters > thead th:nth-child(2) { width: 9%; }
  .parameters > thead th:nth-child(3) { width: 18%; }
}
@media (width < 40rem) {
  article { margin-left: -.5rem; margin-right: -.5rem; }
  table, tbody, tr, th, td { display: block; }
  table thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: flex; flex-wrap: wrap; align-items: baseline; column-gap: .75rem; padding: .625rem 0; border-top: 1px solid var(--line); }
  tr > * { padding: 0 0 .125rem; border-top: 0; max-width: 100%; }
  tr.within { padding-top: 0; border-top: 0; }
  tr > :last-child { flex: 1 0 100%; min-width: 0; }
  tr > :last-child:empty { display: none; }
}
@media print {
  :root { color-scheme: light; }
  .top, .contents, .skip { display: none; }
  body, article { background: none; }
  article { border: 0; border-top: 1px solid; border-radius: 0; box-shadow: none; padding: 1rem 0; }
  .columns { display: block; }
  main { padding: 0; }
  details:not(.answers details)::details-content { content-visibility: visible; block-size: auto; }
  tr, h3, h4, h5, .summary { break-inside: avoid; }
  h3, h4, h5 { break-after: avoid; }
}
@media (prefers-reduced-motion: no-preference) {
  html { scroll-behavior: smooth; }
}
`

export const docsStyle = [colours, base, frame, entries, schemas, media].join('').trimStart()
