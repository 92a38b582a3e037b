/** A token that is about to end is replaced on the line that there is, so that nothing is cut. */
import { backoffMs } from './backoff.ts'
import type { Environment } from './environment.ts'
import type { Tokens } from './tokens.ts'

interface RefreshingOptions {
  readonly environment: Environment
  readonly tokens: Tokens
  /** Shows a token on the line. */
  readonly authenticate: (token: string) => Promise<void>
  readonly onError: (error: unknown) => void
}

export function createRefreshing({ environment, tokens, authenticate, onError }: RefreshingOptions) {
  /** Counts lines: what was begun on an earlier one stops. */
  let line = 0
  let busyLine = -1
  let shown: string | undefined

  return {
    /** Another line, with this token. */
    begin(token: string | undefined): void {
      line += 1
      shown = token
    },
    end: () => void (line += 1),

    /** Until it is done, or the server has closed the line. */
    async refresh(): Promise<void> {
      if (busyLine === line) return
      const mine = line
      busyLine = mine
      for (let attempt = 0; mine === line; attempt += 1) {
        try {
          const token = await tokens.renew()
          if (mine !== line || token === undefined) return
          // The same as before would be as near its end.
          if (token !== shown) {
            shown = token
            await authenticate(token)
            break
          }
        } catch (error) {
          if (mine === line) onError(error)
        }
        await new Promise<void>((resolve) => {
          environment.after(backoffMs(attempt, environment.random), resolve)
        })
      }
      if (mine === line) busyLine = -1
    },
  }
}
