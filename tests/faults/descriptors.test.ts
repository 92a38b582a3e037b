/** No file descriptor is left: who is connected is served, who comes is refused or waits, and it passes by itself. */
import { expect, setDefaultTimeout } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { createApi } from '../support/api.ts'
import { TestClient } from '../support/client.ts'
import { needs } from '../support/needs.ts'
import { serveFolder } from './served.ts'

setDefaultTimeout(60_000)

const testWithLimit = needs('prlimit')
const DESCRIPTORS = 128
/** Of a core; an idle server needs a few hundredths. */
const BUSY_MAX = 0.25

testWithLimit(
  'a crowd of clients beyond the descriptors is refused with 503, without a busy core, and the others go on',
  async ({ prlimit }) => {
    await using served = await serveFolder({ through: limitedBy(prlimit) })
    const { server, api } = served

    const crowd = await openMany(DESCRIPTORS, server.url, served.token)
    const { refused, cpu } = await measured(server.pid, async () => {
      const answers = await openMany(20, server.url, served.token)
      await new Promise((resolve) => setTimeout(resolve, 2000))
      return { refused: answers.refused }
    })
    const { status } = await api('POST', '/api/sessions', { name: 'in the crowd', import_folder: '/x' })
    await Promise.all(crowd.clients.map((client) => client.sync()))
    const gone = crowd.clients.splice(0, 10)
    for (const client of gone) client.close()
    await Promise.all(gone.map(({ closed }) => closed))
    const again = await openMany(10, server.url, served.token)

    expect(crowd.clients.length + gone.length).toBe(Math.floor(DESCRIPTORS * 0.8) - 32 - 1)
    expect(refused).toBe(20)
    expect(cpu).toBeLessThan(BUSY_MAX)
    expect(status).toBe(201)
    expect(again).toMatchObject({ refused: 0 })
    expect(served.faults()).toEqual([])
    for (const client of [...crowd.clients, ...again.clients]) client.terminate()
  },
)

testWithLimit(
  'idle connections that take every descriptor are let go by themselves; old clients are served, new ones wait',
  async ({ prlimit }) => {
    await using served = await serveFolder({ through: limitedBy(prlimit) })
    const { server } = served
    const { hostname, port } = new URL(server.url)
    const publisher = new TestClient({ url: `${server.url.replace('http', 'ws')}/ws`, token: served.token })
    await publisher.opened

    const idle = await Promise.all(
      Array.from({ length: DESCRIPTORS + 40 }, () =>
        Bun.connect({ hostname, port: Number(port), socket: { data: () => undefined } }),
      ),
    )
    // The kernel hands a connection over when something comes on it.
    for (const socket of idle) socket.write('GET')
    while (readdirSync(`/proc/${server.pid}/fd`).length < DESCRIPTORS)
      await new Promise((resolve) => setImmediate(resolve))
    const waiting = createApi(() => server.url, served.token)('POST', '/api/sessions', {
      name: 'waits',
      import_folder: '/x',
    })
    const published = await publisher.request({
      type: 'publish',
      event: { type: 'system_status', status: 'crowded' },
    })
    await served.follower.sync()
    const { status } = await waiting
    const { cpu } = await measured(server.pid, async () => {
      await new Promise((resolve) => setTimeout(resolve, 2000))
      return {}
    })

    expect(published).toMatchObject({ type: 'published' })
    expect(served.follower.record.map(({ type }) => type)).toContain('system_status')
    expect(status).toBe(201)
    expect(cpu).toBeLessThan(BUSY_MAX)
    expect(served.faults()).toEqual([])
    for (const socket of idle) socket.terminate()
    publisher.terminate()
  },
)

function limitedBy(prlimit: string): string[] {
  return [prlimit, `--nofile=${DESCRIPTORS}:${DESCRIPTORS}`, '--']
}

/** Opens sockets at once: those that opened, and how many were refused. */
async function openMany(count: number, url: string, token: string) {
  const clients = Array.from(
    { length: count },
    () => new TestClient({ url: `${url.replace('http', 'ws')}/ws`, token }),
  )
  const outcomes = await Promise.allSettled(clients.map(({ opened }) => opened))
  return {
    clients: clients.filter((_, index) => outcomes[index]?.status === 'fulfilled'),
    refused: outcomes.filter(({ status }) => status === 'rejected').length,
  }
}

/** How much of a core the process used while `run` ran. */
async function measured<T>(pid: number, run: () => Promise<T>): Promise<T & { cpu: number }> {
  const [before, started] = [cpuSeconds(pid), performance.now()]
  const result = await run()
  return { ...result, cpu: (cpuSeconds(pid) - before) / ((performance.now() - started) / 1000) }
}

/** Kernel's accounting of user and system time over all threads, in its ticks of 10 ms. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
