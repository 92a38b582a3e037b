/** A page for the tests of the hooks: components that come and go on command, in StrictMode, and what they show. */
import { createElement, StrictMode, type ReactElement, type ReactNode } from 'react'
import { createRoot, type Container } from 'react-dom/client'
import { createClient } from '../../clients/typescript/src/client.ts'
import {
  LightwireProvider,
  useEvents,
  useLatest,
  useSnapshot,
  useStatus,
} from '../../clients/typescript/src/react.ts'

/** What is used of a page here: the tests are checked against a library without pages. */
declare const document: { readonly body: Container & { readonly textContent: string } }

interface Setup {
  readonly url: string
  readonly token: string
}

const text = (value: unknown) => createElement('p', null, JSON.stringify(value))

const components: Readonly<Record<string, () => ReactElement>> = {
  events: () => text(useEvents(['sessions'], { limit: 3 }).map(({ seq }) => seq)),
  latest: () => {
    const latest = useLatest('session_updated', { limit: 2 })
    return text([...latest].map(([key, event]) => [key, event.total_photos]))
  },
  snapshot: () => {
    interface Sessions {
      readonly sessions: readonly { readonly id: number }[]
    }
    const state = useSnapshot<Sessions>('/api/sessions?limit=500', ['sessions'], (before, event) =>
      event.type === 'session_created'
        ? { sessions: [...before.sessions, { id: event.session_id }] }
        : before,
    )
    return text(state?.sessions.map(({ id }) => id).sort((a, b) => a - b) ?? null)
  },
  status: () => text(useStatus()),
}

const Photos = ({ session }: { session: number }) =>
  text(useEvents(['photos'], { where: { session_id: session } }).map(({ seq }) => seq))

Object.assign(globalThis, {
  begin({ url, token }: Setup) {
    const client = createClient({ url, getToken: () => token, transport: 'websocket' })
    const root = createRoot(document.body)
    Object.assign(globalThis, {
      client,
      /** `one:12` is what is told of session 12's photos. */
      show(...names: string[]) {
        const shown = names.flatMap((name) => {
          const [kind = '', id] = name.split(':')
          const component = components[kind]
          const element: ReactNode =
            id !== undefined
              ? createElement(Photos, { key: kind, session: Number(id) })
              : component && createElement(component, { key: kind })
          return element ? [element] : []
        })
        root.render(createElement(StrictMode, null, createElement(LightwireProvider, { client }, shown)))
      },
    })
  },
})
