/** A Worker that checkpoints the database whose path it is sent, and answers with the length of its log. */
import { Database } from 'bun:sqlite'

declare const self: Worker

self.onmessage = ({ data: path }: MessageEvent<string>) => {
  try {
    using file = new Database(path)
    const row = file
      .query<{ busy: number; log: number; checkpointed: number }, []>('PRAGMA wal_checkpoint(PASSIVE)')
      .get()
    self.postMessage({ walPages: row?.log ?? 0 })
  } catch (error) {
    const { code, message } = error as Error & { code?: string }
    self.postMessage({ walPages: 0, error: { code, message } })
  }
}
