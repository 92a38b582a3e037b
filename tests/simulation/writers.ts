/** Who changes things: an importer, workers that sometimes vanish, a reviewer, clients that publish over their socket. */
import { approvePhoto, rejectPhoto } from '../../lib/domain/approval.ts'
import {
  cancelJob,
  claimNextJob,
  completeJob,
  createJob,
  failJob,
  reportProgress,
  setPriority,
} from '../../lib/domain/jobs.ts'
import type { Job } from '../../lib/domain/job-schemas.ts'
import { importPhotos, patchPhoto } from '../../lib/domain/photos.ts'
import { parsePublication, publishAll } from '../../lib/domain/publishing.ts'
import { createSession, deleteSession } from '../../lib/domain/sessions.ts'
import type { Frame } from '../../lib/protocol/codec.ts'
import type { Committed, Write, WriteFunction } from '../../lib/store/write.ts'
import type { Random } from '../support/random.ts'
import { decoded } from './frames.ts'
import type { Owner, Scheduler } from './scheduler.ts'
import type { Peer, VirtualSocket } from './socket.ts'
import { Violation, type Truth } from './truth.ts'

/** Before a client that got no answer comes again. */
const PAUSE_MS = 100

/** Publishes of one socket that wait for their answer. */
const UNANSWERED_MAX = 80

/** What came of a request; nobody knows what became of a lost one. */
export type Answer<T> =
  { readonly committed: Committed<T> } | { readonly refused: string } | { readonly lost: true }

export interface WriterWorld {
  readonly scheduler: Scheduler
  readonly truth: Truth
  /** Sends a write over REST; its marks name the facts that it makes. */
  write<T>(
    owner: Owner,
    marks: readonly string[],
    run: WriteFunction<T>,
    got: (answer: Answer<T>) => void,
  ): void
  connect(peer: Peer, framing: 'json'): VirtualSocket | undefined
  /** Whether new things are still begun. */
  goesOn(): boolean
  /** A mark that no other write has. */
  mark(): string
  readonly ids: { readonly photos: number[]; readonly sessions: number[]; readonly jobs: string[] }
  readonly shape: WriterShape
}

export interface WriterShape {
  /** Mean pause between two acts. */
  readonly thinkMs: number
  /** Most characters that make an event longer. */
  readonly padding: number
  /** Nothing but reports of trouble, many at once. */
  readonly floods: boolean
  /** Most events published at once. */
  readonly burst: number
}

/** One REST client: an act, its answer, a pause. */
export function startWriter(name: string, world: WriterWorld, random: Random): void {
  const owner = { name, alive: true }
  const { scheduler, ids, shape } = world
  const next = (pauseMs = shape.thinkMs * 2 * random.next()) =>
    scheduler.post(owner, pauseMs, 'think', () => {
      if (world.goesOn()) act()
    })
  const send = <T>(
    run: WriteFunction<T>,
    keep: (value: T) => void = () => undefined,
    marks: readonly string[] = [],
  ) =>
    world.write(owner, marks, run, (answer) => {
      if ('committed' in answer) keep(answer.committed.value)
      next('lost' in answer ? PAUSE_MS : undefined)
    })

  function act(): void {
    if (shape.floods) return publish()
    const kind = random.int(0, 99)
    const photo = ids.photos.length > 0 ? random.pick(ids.photos) : undefined
    if (kind < 4 || ids.sessions.length === 0) {
      const mark = world.mark()
      return send(
        (write) => createSession(write, { name: mark, import_folder: '/shoot' }),
        ({ id }) => void ids.sessions.push(id),
        [mark],
      )
    }
    if (kind < 18 || photo === undefined) {
      const session_id = random.chance(0.8) ? random.pick(ids.sessions) : null
      const marks = Array.from({ length: random.int(1, 3) }, () => world.mark())
      const inputs = marks.map((file_path) => ({ session_id, file_path, file_name: 'x.raw', file_size: 1 }))
      return send(
        (write) => importPhotos(write, inputs),
        (photos) => void ids.photos.push(...photos.map(({ id }) => id)),
        marks,
      )
    }
    if (kind < 32) {
      const input = { photo_id: photo, config: {}, priority: random.int(1, 9) }
      return send(
        (write) => createJob(write, input),
        ({ id }) => void ids.jobs.push(id),
      )
    }
    if (kind < 52) return work()
    if (kind < 56) return send((write) => approvePhoto(write, photo, {}))
    if (kind < 60) return send((write) => rejectPhoto(write, photo, { reason: 'blurred' }))
    if (kind < 64) return send((write) => patchPhoto(write, photo, { ai_score: random.int(1, 5) }))
    if (kind < 68 && ids.jobs.length > 0) {
      const job = random.pick(ids.jobs)
      return send((write) =>
        random.chance(0.5) ? cancelJob(write, job) : setPriority(write, job, { priority: 1, reason: '' }),
      )
    }
    if (kind < 69) {
      const session = random.pick(ids.sessions)
      return send((write) => deleteSession(write, session))
    }
    publish()
  }

  /** Reports of trouble: facts of any size, singly or many at once. */
  function publish(): void {
    const marks = Array.from({ length: random.chance(0.5) ? 1 : random.int(1, shape.burst) }, () =>
      world.mark(),
    )
    const publications = marks.map((error_type) =>
      parsePublication(
        { type: 'error_occurred', error_type, error_message: 'x'.repeat(random.int(0, shape.padding)) },
        { command: false, subject: name },
      ),
    )
    send((write) => publishAll(write, publications), undefined, marks)
  }

  /** Claims a job and works on it, or forgets it, or is too slow. */
  function work(): void {
    const lease_seconds = random.int(1, 2)
    world.write(
      owner,
      [],
      (write) => claimNextJob(write, name, { worker: name, lease_seconds }),
      (answer) => {
        const job = 'committed' in answer ? answer.committed.value : undefined
        if (!job || random.chance(0.15)) return next('lost' in answer ? PAUSE_MS : undefined)
        step(job, random.int(0, 3))
      },
    )
  }

  function step(job: Job, left: number): void {
    const attempt = job.attempts
    const pauseMs = random.chance(0.3) ? random.int(800, 3000) : random.next() * 2 * shape.thinkMs
    const claimant = { subject: name, attempt }
    scheduler.post(owner, pauseMs, 'work', () => {
      const go = <T>(run: (write: Write) => Promise<T>, more: boolean) =>
        world.write(owner, [], run, (answer) => {
          if (more && 'committed' in answer) step(job, left - 1)
          else next('lost' in answer ? PAUSE_MS : undefined)
        })
      if (left > 0) {
        const progress = { stage: 'render', progress: 100 - left * 25, message: `attempt ${attempt}` }
        return go((write) => reportProgress(write, job.id, claimant, progress), true)
      }
      if (random.chance(0.75))
        return go((write) => completeJob(write, job.id, claimant, { result: { attempt } }), false)
      const retry = random.chance(0.5)
      go(
        (write) => failJob(write, job.id, claimant, { error_message: 'no', error_details: {}, retry }),
        false,
      )
    })
  }

  next()
}

/** A client that publishes over its socket, several at once, and holds each answer against the journal. */
export class SocketPublisher implements Peer {
  readonly owner: Owner
  private socket: VirtualSocket | undefined
  /** Marks without an answer; those with a key are sent again. */
  private readonly sent = new Map<string, { readonly keyed: boolean }>()
  private readonly again = new Set<string>()

  constructor(
    name: string,
    private readonly world: WriterWorld,
    private readonly random: Random,
  ) {
    this.owner = { name, alive: true }
    this.act()
  }

  receive(frames: readonly Frame[]): void {
    for (const frame of frames) {
      const { type, id, channel, seq, code } = decoded(frame, 'json')
      const mark = String(id)
      if (type === 'error' && code !== 'storage_unavailable' && code !== 'draining')
        throw new Violation(`publishing ${mark} met ${String(code)}`)
      if (type === 'error' && this.sent.get(mark)?.keyed) this.again.add(mark)
      if (type === 'error' || type === 'published') this.sent.delete(mark)
      if (type !== 'published') continue
      const place = this.world.truth.placeOf(mark)
      if (place !== `${String(channel)}=${String(seq)}`)
        throw new Violation(
          `${mark} was published at ${String(channel)}=${String(seq)}, it is at ${place ?? 'no place'}`,
        )
    }
  }

  closed(): void {
    this.socket = undefined
    for (const [mark, { keyed }] of this.sent) if (keyed) this.again.add(mark)
    this.sent.clear()
  }

  private act(): void {
    const { scheduler, shape } = this.world
    scheduler.post(this.owner, this.random.next() * 4 * shape.thinkMs, 'publish', () => {
      if (!this.world.goesOn()) return
      this.socket ??= this.world.connect(this, 'json')
      const again = [...this.again]
      this.again.clear()
      for (const mark of again) this.publish(mark, true)
      // More would only pile up where commits are slow.
      const room = Math.max(0, UNANSWERED_MAX - this.sent.size)
      for (let count = Math.min(room, this.random.int(1, 3)); count > 0; count -= 1)
        this.publish(this.world.mark(), this.random.chance(0.5))
      this.act()
    })
  }

  /** With a key it may come twice, and must be in the journal once. */
  private publish(mark: string, keyed: boolean): void {
    if (!this.socket) {
      if (keyed) this.again.add(mark)
      return
    }
    this.sent.set(mark, { keyed })
    const event = { type: 'error_occurred', error_type: mark, error_message: 'by socket' }
    const key = keyed ? { key: mark } : {}
    this.socket.fromClient(JSON.stringify({ type: 'publish', id: mark, event, ...key }))
  }
}
