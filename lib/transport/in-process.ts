/** The in-process transport: a running server as the program that started it has it in hand. */
import type { TokenRequest } from '../access/tokens.ts'
import { parsePublication, publishDurably } from '../domain/publishing.ts'
import type { ServerLog } from '../logger.ts'
import type { EventInput, EventType, StoredEvent } from '../protocol/events.ts'
import type { Hub } from '../realtime/hub.ts'
import type { Config } from '../settings.ts'
import type { RunWrite } from '../store/write.ts'

/** A running server, and the in-process face of what it does for clients. */
export interface LightwireServer extends AsyncDisposable {
  /** `http://host:port` or `https://…`, with the port that was taken. */
  readonly url: string
  readonly config: Config
  readonly log: ServerLog
  /** What SIGTERM does: refuses what is new, sends the clients away one by one, finishes; to be disposed after. */
  drain(): Promise<void>
  /** Commits an event as `POST /api/events` would; resolves when it is durable. @throws {Refusal} */
  publish<T extends EventType>(event: { type: T } & EventInput<T>): Promise<StoredEvent>
  /** Sends an ephemeral message to the clients of a type; how many. @throws {Refusal} */
  sendToType(clientType: string, message: Parameters<Hub['broadcast']>[0]): number
  clients: Hub['clients']
  disconnect: Hub['disconnect']
  /** A token signed by this server's key. */
  issueToken(request: TokenRequest): Promise<string>
  /** One line about a bug that nothing else caught. */
  report(error: unknown): void
}

interface Parts {
  readonly hub: Hub
  readonly runWrite: RunWrite
  readonly issueToken: (request: TokenRequest) => Promise<{ readonly token: string }>
}

export function inProcess({ hub, runWrite, issueToken }: Parts) {
  return {
    publish: (event) =>
      publishDurably(runWrite, parsePublication(event, { command: false, subject: 'in-process' })),
    sendToType: (clientType, message) => hub.broadcast(message, { clientType }).recipients,
    clients: hub.clients,
    disconnect: hub.disconnect,
    issueToken: async (request) => (await issueToken(request)).token,
  } satisfies Partial<LightwireServer>
}
