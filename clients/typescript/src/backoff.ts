/** When a client comes back after its connection ended, and when it does not (PROTOCOL §2). */

const BASE_MS = 500
const CAP_MS = 30_000

/** Full jitter: anywhere up to a bound that doubles with each attempt. @param attempt from 0 */
export function backoffMs(attempt: number, random: () => number): number {
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 16))
}

/** Whether to stay away after this close code. */
export function isFinal(code: number): boolean {
  return code === 1002 || code === 1003 || (code >= 1007 && code <= 1010) || (code >= 4500 && code <= 4999)
}

const names: Readonly<Record<number, string>> = {
  1009: 'too_large',
  1011: 'internal',
  1012: 'draining',
  4400: 'slow_consumer',
  4401: 'unauthenticated',
  4408: 'no_pong',
  4409: 'cursor_gone',
  4429: 'rate_limited',
  4430: 'too_many_connections',
  4500: 'invalid_message',
  4501: 'invalid_token',
  4502: 'auth_timeout',
  4503: 'disconnected',
  4507: 'unsupported_protocol',
}

/** The refusal code that a close code stands for. */
export function codeName(code: number): string {
  return names[code] ?? String(code)
}
