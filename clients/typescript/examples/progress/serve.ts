/**
 * Serves the page: `LIGHTWIRE_URL=http://127.0.0.1:5100 LIGHTWIRE_TOKEN=… bun run serve.ts`. The server must take pages of
 * this address: `ALLOWED_ORIGINS=http://127.0.0.1:5173`.
 */
import page from './index.html'

const { LIGHTWIRE_URL = 'http://127.0.0.1:5100', LIGHTWIRE_TOKEN = '', PORT = '5173' } = process.env

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(PORT),
  routes: {
    '/': page,
    '/server': () => new Response(LIGHTWIRE_URL),
    // Where an application would look at its own login, and hand out a short one.
    '/token': ({ headers }) =>
      isOwn(headers.get('Host')) ? new Response(LIGHTWIRE_TOKEN) : new Response(null, { status: 403 }),
  },
})

/** A page of elsewhere may have a name that leads here (DNS rebinding), and would be given the token. */
function isOwn(host: string | null): boolean {
  return ['127.0.0.1', 'localhost'].some((name) => new URL(`http://${name}:${server.port}`).host === host)
}
console.log(`the page is at ${server.url}`)
