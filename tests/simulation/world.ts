/** One seed: nodes, disk, network, bus and clients in virtual time, until all of it has happened and all have converged. */
import type { Framing } from '../../lib/protocol/codec.ts'
import { everyone } from '../../lib/access/rights.ts'
import { createRandom } from '../support/random.ts'
import { createCluster } from './cluster.ts'
import { createDisk, type DiskFaults } from './disk.ts'
import { decoded, requireDurableFrame } from './frames.ts'
import { createMishaps } from './mishaps.ts'
import { drawChannels, drawFraming, drawOptions, drawProfile } from './profile.ts'
import { createRest } from './rest.ts'
import { createScheduler } from './scheduler.ts'
import { createSlots, type Slot } from './slots.ts'
import { VirtualSocket, type LinkShape, type Peer } from './socket.ts'
import { Subscriber, type PingRecord } from './subscriber.ts'
import { createTruth, Violation } from './truth.ts'
import { SocketPublisher, startWriter, type WriterWorld } from './writers.ts'

/** All must have everything within this much virtual time after the last mishap. */
const CONVERGENCE_MS = 15_000

export interface Report {
  readonly seed: number
  readonly violation: string | undefined
  readonly step: number
  readonly hash: number
  readonly virtualMs: number
  readonly counts: Readonly<Record<string, number>>
  readonly trace: readonly string[]
}

/** Runs a seed to its end or its first violation. */
export function runSeed(seed: number, image: Uint8Array, { trace = false } = {}): Report {
  const random = createRandom(seed)
  const profile = drawProfile(random)
  const scheduler = createScheduler(random.fork(), { creepMs: profile.creepMs, trace })
  using _clocks = scheduler.install()
  const world = createWorld(seed, image, { random, profile, scheduler })
  let violation: string | undefined
  try {
    world.run()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    violation = error instanceof Violation ? error.message : (error.stack ?? error.message)
  } finally {
    world.close()
  }
  const { steps, hash, nowMs, lines } = scheduler
  return { seed, violation, step: steps, hash, virtualMs: nowMs, counts: world.counts(), trace: lines }
}

/** What a run has seen. */
function newCounts() {
  return {
    writes: 0,
    committed: 0,
    refused: 0,
    lost: 0,
    reads: 0,
    deaths: 0,
    connections: 0,
    frames: 0,
    events: 0,
    batches: 0,
    pongs: 0,
    recovered: 0,
    snapshots: 0,
    overtaken: 0,
    sweeps: 0,
    moves: 0,
    readErrors: 0,
    refusals: 0,
  }
}

interface Parts {
  readonly random: ReturnType<typeof createRandom>
  readonly profile: ReturnType<typeof drawProfile>
  readonly scheduler: ReturnType<typeof createScheduler>
}

function createWorld(seed: number, image: Uint8Array, { random, profile, scheduler }: Parts) {
  const truth = createTruth(fail)
  const counts = newCounts()
  const mishapCounts: Record<string, number> = {}
  const latencyMs = () => profile.latencyMs * (0.2 + random.next() * (random.chance(0.05) ? 20 : 1))
  const faults: DiskFaults = {
    syncMs: () => profile.syncMs * (0.1 + random.next() * (random.chance(0.05) ? 10 : 1)),
    syncFails: () => false,
    full: false,
    fullShare: 0.1,
    killAtCommit: undefined,
  }
  const database = profile.cluster
    ? createCluster({
        image,
        scheduler,
        truth,
        faults: {
          hopMs: () => profile.hopMs * random.next(),
          readBreaks: () => goesOn() && random.chance(0.005),
          commitBreaks: () =>
            goesOn() && random.chance(0.01) ? random.pick(['before', 'after'] as const) : undefined,
        },
      })
    : createDisk({ image, scheduler, truth, random: random.fork(), faults })
  const disk = 'cutPower' in database ? database : undefined
  const cluster = 'knownHeads' in database ? database : undefined
  const pings = new Map<string, PingRecord>()
  const unwritten = new Set<VirtualSocket>()
  const subscribers: Subscriber[] = []
  let marks = 0
  let ended = false
  let failure: Violation | undefined
  const link: LinkShape = {
    kernelBytes: profile.kernelBytes,
    burstBytes: profile.burstBytes,
    gapMs: () => random.next() * Math.max(0.2, profile.latencyMs / 4),
    latencyMs,
  }

  function goesOn(): boolean {
    return !ended && counts.writes < profile.writesMax
  }

  /** What the program's own guards would swallow is kept, and ends the run after the step. */
  function fail(error: unknown, where = 'bug'): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    failure ??= error instanceof Violation ? error : new Violation(`${where}: ${text}`)
  }

  const rest = { scheduler, random, truth, latencyMs, counts, fail }
  const slots = createSlots({ ...rest, profile, database })
  const { write, snapshot } = createRest({ ...rest, slots: slots.all, mayBreak: cluster !== undefined })
  scheduler.onStep(() => {
    for (const socket of unwritten) socket.flush()
    unwritten.clear()
    if (failure) throw failure
  })

  function connect(peer: Peer, framing: Framing): VirtualSocket | undefined {
    const slot = random.pick(slots.all)
    const { process, node } = slot
    if (!node || slot.stopping) return undefined
    const handlers = {
      ...node.handlers,
      message(socket: VirtualSocket, frame: string) {
        notePing(slot, frame)
        node.handlers.message(socket, frame as never)
      },
    }
    const socket = new VirtualSocket({
      scheduler, process, handlers: handlers as never, peer, link, unwritten,
      limitBytes: profile.limitBytes,
      onHanded: (frame) => {
        try {
          requireDurableFrame(decoded(frame, framing), truth)
        } catch (error) {
          fail(error)
        }
      },
      onDrop: (bytes) => fail(new Violation(`a socket was to hold ${bytes} bytes; its limit is ${profile.limitBytes}`)),
    }) // prettier-ignore
    const place = node.room.take({ address: slot.process.name, subject: everyone.subject })
    socket.data = { framing, who: everyone, place, requestId: '' }
    slot.sockets.add(socket)
    socket.open()
    return socket
  }

  function notePing(slot: Slot, frame: string): void {
    if (!frame.startsWith('{"type":"ping"')) return
    const { id } = JSON.parse(frame) as { id: string }
    pings.set(id, { heads: cluster ? cluster.knownHeads(slot.process) : truth.heads() })
  }

  const writerWorld: WriterWorld = {
    scheduler,
    truth,
    connect,
    goesOn,
    mark: () => `mark-${seed}-${(marks += 1)}`,
    ids: { photos: [], sessions: [], jobs: [] },
    shape: profile.shape,
    write,
  }

  function start(): void {
    // Few, so that some share a topic.
    const often = drawOptions(random)
    const ways = profile.plain ? [{}] : [{}, often, often, drawOptions(random)]
    for (let n = 1; n <= profile.subscribers; n += 1) {
      const own = random.fork()
      const subscriber = new Subscriber(
        `s${n}`,
        subscriberWorld,
        own,
        drawFraming(own),
        drawChannels(own),
        () => own.pick(ways),
      )
      subscribers.push(subscriber)
      scheduler.post(subscriber.owner, own.next() * 300, 'arrives', () => subscriber.connect())
      const act = () =>
        scheduler.post(subscriber.owner, own.next() * 400, 'acts', () => {
          if (ended) return
          subscriber.act()
          act()
        })
      act()
    }
    for (let n = 1; n <= profile.writers; n += 1) startWriter(`w${n}`, writerWorld, random.fork())
    for (let n = 1; n <= profile.publishers; n += 1) new SocketPublisher(`p${n}`, writerWorld, random.fork())
  }

  const subscriberWorld = {
    scheduler,
    truth,
    counts,
    connect,
    snapshot,
    ping: (id: string) => pings.get(id),
    mayDemandSnapshot: slots.isLost,
  }

  return {
    counts: (): Readonly<Record<string, number>> => ({ ...counts, ...truth.leases(), ...mishapCounts }),
    run(): void {
      scheduler.note('profile', JSON.stringify(profile))
      start()
      const mishaps = createMishaps({
        scheduler, random: random.fork(), profile, slots: slots.all, subscribers, disk, faults, counts: mishapCounts,
        onRestore: slots.forgetEpochs,
      }) // prettier-ignore
      scheduler.run(profile.horizonMs)
      ended = true
      mishaps.end()
      for (const subscriber of subscribers) finish(subscriber)
      const quiet = () => slots.all.every(({ node, unanswered }) => node && unanswered.size === 0)
      const converged = () => quiet() && subscribers.every((subscriber) => subscriber.isCurrent())
      scheduler.run(profile.horizonMs + CONVERGENCE_MS, converged)
      if (!converged()) {
        const lines = subscribers
          .filter((subscriber) => !subscriber.isCurrent())
          .map((subscriber) => subscriber.describe())
        throw new Violation(`after ${CONVERGENCE_MS} ms of calm not all have everything: ${lines.join('; ')}`)
      }
    },
    close: () => database.close(),
  }

  function finish(subscriber: Subscriber): void {
    subscriber.socket?.unstall()
    scheduler.post(subscriber.owner, 1000, 'last ping', () => subscriber.ping())
  }
}
