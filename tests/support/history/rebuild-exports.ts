/** Exports rebuilt from events. They carry no id: which of two alike has ended cannot be told, how many have can. */
import type { JournalEvent, Row } from './record.ts'

interface RebuiltExport {
  readonly photo_id: unknown
  readonly session_id: unknown
  readonly preset_name: unknown
  status: string
  output_path: unknown
  file_size: unknown
  error_message: unknown
}

export class RebuiltExports {
  private rows: RebuiltExport[] = []
  private starts: Row[] = []

  constructor(private readonly wrong: string[]) {}

  get size(): number {
    return this.rows.length
  }

  started(event: JournalEvent): void {
    const { photo_id, session_id, preset_name } = event
    const open = { status: 'running', output_path: '', file_size: null, error_message: '' }
    this.rows.push({ photo_id, session_id, preset_name, ...open })
    this.starts.push(event)
  }

  ended(event: JournalEvent): void {
    const row = this.rows.find(
      ({ photo_id, preset_name, status }) =>
        status === 'running' && photo_id === event['photo_id'] && preset_name === event['preset_name'],
    )
    if (!row) return void this.wrong.push(`journal: ${event.type} of an export that does not run`)
    row.status = event.type === 'export_completed' ? 'completed' : 'failed'
    row.output_path = event['output_path'] ?? ''
    row.file_size = event['file_size'] ?? null
    row.error_message = event['error_message'] ?? ''
  }

  forget(session: unknown): void {
    this.rows = this.rows.filter(({ session_id }) => session_id !== session)
    this.starts = this.starts.filter(({ session_id }) => session_id !== session)
  }

  countOf(status: unknown): number {
    return this.rows.filter((row) => status === undefined || row.status === status).length
  }

  /** What of the given rows no events made, counted by how they ended and by where they were to go. */
  surplus(rows: readonly Row[]): string[] {
    return [
      ...surplusOf(rows.map(stateOf), this.rows.map(stateOf)),
      ...surplusOf(rows.map(targetOf), this.starts.map(targetOf)),
    ]
  }
}

function stateOf(row: object): string {
  const { photo_id, session_id, preset_name, status, output_path, file_size, error_message } = row as Row
  return JSON.stringify({ photo_id, session_id, preset_name, status, output_path, file_size, error_message })
}

function targetOf({ photo_id, preset_name, destination }: Row): string {
  return JSON.stringify({ photo_id, preset_name, destination })
}

/** What is in the first list more often than in the second. */
function surplusOf(some: readonly string[], all: readonly string[]): string[] {
  const left = new Map<string, number>()
  for (const key of all) left.set(key, (left.get(key) ?? 0) + 1)
  return some.filter((key) => {
    const count = left.get(key) ?? 0
    left.set(key, count - 1)
    return count <= 0
  })
}
