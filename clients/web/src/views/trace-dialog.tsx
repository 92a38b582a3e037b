/** What one client was sent and when, line by line as it leaves. */
import { useEffect, useState } from 'react'
import type { Channel } from '../../../typescript/src/events.ts'
import { ApiError, type Api } from '../api.ts'
import { useText } from '../text.tsx'
import { Dialog } from './dialog.tsx'
import { useLive } from './live-context.ts'

const KEPT_MAX = 200
/** Shorter than this page waits for an answer. */
const WAIT_SECONDS = 10

interface Entry {
  readonly number: number
  readonly sent_at: string
  readonly via: 'topic' | 'journal' | 'direct'
  readonly type: string
  readonly channel: Channel | null
  readonly after: number | null
  readonly upto: number | null
  readonly events: number
  readonly bytes: number
}

interface TraceRead {
  readonly connected: boolean
  readonly entries: readonly Entry[]
}

interface TraceProps {
  readonly id: string
  /** What the client is called on the screen. */
  readonly name: string
  readonly onClose: () => void
}

export function TraceDialog({ id, name, onClose }: TraceProps) {
  const { t } = useText()
  const { api } = useLive()
  const [entries, setEntries] = useState<readonly Entry[]>([])
  const [isGone, setGone] = useState(false)
  /** The server's code where it could not be read. */
  const [failure, setFailure] = useState('')

  useEffect(() => {
    const ended = new AbortController()
    follow(api, id, ended.signal, (more) =>
      setEntries((before) => [...more.toReversed(), ...before].slice(0, KEPT_MAX)),
    )
      .then(() => ended.signal.aborted || setGone(true))
      .catch((error: unknown) => {
        if (ended.signal.aborted) return
        if (error instanceof ApiError && error.code === 'not_found') setGone(true)
        else setFailure(error instanceof ApiError ? error.code : String(error))
      })
    return () => ended.abort()
  }, [api, id])

  return (
    <Dialog title={t('trace.title', { name })} isWide onClose={onClose}>
      {isGone && <p className="warn">{t('trace.gone')}</p>}
      {failure !== '' && <p className="bad">{t('failed', { reason: failure })}</p>}
      {entries.length === 0 && !isGone && failure === '' && <p className="muted">{t('trace.empty')}</p>}
      {entries.length > 0 && (
        <div className="trace" tabIndex={0} role="group" aria-label={t('trace.title', { name })}>
          <table className="table">
            <thead>
              <tr>
                {(['time', 'what', 'positions', 'via', 'bytes'] as const).map((column) => (
                  <th key={column} scope="col" className={column === 'bytes' ? 'column-number' : ''}>
                    {t(`trace.${column}`)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {entries.map((entry) => (
                <Line key={entry.number} entry={entry} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Dialog>
  )
}

function Line({
  entry: { sent_at, type, channel, after, upto, events, via, bytes: size },
}: {
  readonly entry: Entry
}) {
  const { t, time, bytes } = useText()
  const what = type === 'batch' ? `${type} · ${events}` : type
  const span = after === null || upto === null ? '' : upto - after > 1 ? `${after + 1}–${upto}` : String(upto)
  return (
    <tr>
      <td>
        <time dateTime={sent_at}>{time(sent_at)}</time>
      </td>
      <td>{what}</td>
      <td>{channel === null ? '' : `${t(`channel.${channel}`)} ${span}`}</td>
      <td>{t(`trace.via.${via}`)}</td>
      <td className="column-number">{bytes(size)}</td>
    </tr>
  )
}

/** Asks for what comes next until the client is gone or nobody looks; each answer waits for its first line. */
async function follow(
  api: Api,
  id: string,
  signal: AbortSignal,
  onMore: (entries: readonly Entry[]) => void,
) {
  const path = `/api/websocket/clients/${id}/trace`
  await api.change('POST', path)
  for (let last = 0; !signal.aborted;) {
    const { value } = await api.get<TraceRead>(`${path}?after=${last}&wait=${WAIT_SECONDS}`, signal)
    last = value.entries.at(-1)?.number ?? last
    if (value.entries.length > 0 && !signal.aborted) onMore(value.entries)
    if (!value.connected) return
  }
}
