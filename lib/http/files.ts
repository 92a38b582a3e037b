/** Files among the answers: kept by the client, asked for anew, and not sent again while they are the same. */

/** A file by its version; its bytes are made when they are wanted. */
export interface FileAnswer {
  readonly contentType: string
  /** In quotes (RFC 9110 §8.8.3). */
  readonly etag: string
  bytes(): Promise<Uint8Array<ArrayBuffer>>
}

/** Only for whoever asked, and only while the server says so again: rights end. */
export async function answerFile(file: FileAnswer, asked: Headers): Promise<Response> {
  const headers = { ETag: file.etag, 'Cache-Control': 'private, no-cache', Vary: 'Authorization' }
  if (isKnown(asked.get('if-none-match'), file.etag)) return new Response(null, { status: 304, headers })
  return new Response(await file.bytes(), { headers: { ...headers, 'Content-Type': file.contentType } })
}

/** Whether `If-None-Match` names the version, by weak comparison (RFC 9110 §13.1.2). */
export function isKnown(header: string | null, etag: string): boolean {
  const known = (header ?? '').split(',').map((part) => part.trim().replace(/^W\//, ''))
  return known.includes(etag) || known.includes('*')
}
