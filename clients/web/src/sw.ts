/** The service worker: keeps the shell, so that the page opens while the server restarts; never an answer of the API. */

/** Paths of the page's files, and what differs from build to build; the build fills them in. */
declare const SHELL: readonly string[]
declare const BUILD: string

interface Extendable extends Event {
  waitUntil(work: Promise<unknown>): void
}
interface Fetching extends Extendable {
  readonly request: Request
  respondWith(answer: Promise<Response>): void
}
interface Worker extends EventTarget {
  skipWaiting(): Promise<void>
  readonly clients: { claim(): Promise<void> }
  readonly location: Location
}
// The library of the page's own types has no worker in it.
const worker = self as unknown as Worker
const cacheName = `lightwire-${BUILD}`

worker.addEventListener('install', (event) => {
  const install = async () => {
    const cache = await caches.open(cacheName)
    await cache.addAll([...SHELL])
    await worker.skipWaiting()
  }
  const extendable = event as Extendable
  extendable.waitUntil(install())
})

worker.addEventListener('activate', (event) => {
  const activate = async () => {
    const names = await caches.keys()
    const old = names.filter((name) => name.startsWith('lightwire-') && name !== cacheName)
    await Promise.all(old.map((name) => caches.delete(name)))
    await worker.clients.claim()
  }
  const extendable = event as Extendable
  extendable.waitUntil(activate())
})

worker.addEventListener('fetch', (event) => {
  const fetching = event as Fetching
  const { request } = fetching
  const { origin, pathname } = new URL(request.url)
  if (request.method !== 'GET' || origin !== worker.location.origin || !SHELL.includes(pathname)) return
  // A file whose name holds its hash never changes; of the others the server's is newer.
  fetching.respondWith(pathname.startsWith('/assets/') ? kept(request) : fresh(request))
})

async function kept(request: Request): Promise<Response> {
  return (await caches.match(request)) ?? (await fetch(request))
}

async function fresh(request: Request): Promise<Response> {
  try {
    const response = await fetch(request)
    if (response.ok || response.status === 304) return response
    return (await caches.match(request, { ignoreSearch: true })) ?? response
  } catch (error) {
    const cached = await caches.match(request, { ignoreSearch: true })
    if (cached) return cached
    throw error
  }
}
