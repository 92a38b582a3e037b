/** Refusals as RFC 9457 problem details. */
import { statusOf, type Refusal, type RefusalStatus } from '../protocol/refusals.ts'

/** Reason phrases (RFC 9110 §15) of the statuses that refusals have. */
const titles: Readonly<Record<RefusalStatus, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  410: 'Gone',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** `application/problem+json`; `error` repeats the sentence for older clients. */
export function problem(
  { code, message, faults, retryAfterMs, currentStatus, members }: Refusal,
  headers: Record<string, string> = {},
): Response {
  const status = statusOf(code)
  const retry: Record<string, string> =
    retryAfterMs === undefined ? {} : { 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) }
  const body = {
    type: 'about:blank',
    title: titles[status],
    status,
    detail: message,
    code,
    error: message,
    ...(currentStatus === undefined ? {} : { current_status: currentStatus }),
    ...(faults.length > 0 ? { errors: faults } : {}),
    ...members,
  }
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'Content-Type': 'application/problem+json',
      'Cache-Control': 'no-store',
      ...(status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
      ...retry,
      ...headers,
    },
  })
}
