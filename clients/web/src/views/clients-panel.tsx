/** Who is connected, how far behind, and what one may do about it. */
import { useState } from 'react'
import { useText } from '../text.tsx'
import { useLive } from './live-context.ts'
import { Empty, Loading, Panel } from './parts.tsx'
import { TraceDialog } from './trace-dialog.tsx'
import { useAct } from './use-act.ts'
import { useReading } from './use-reading.ts'

/** Drawn of a long list; the server's route has filters for more. */
const SHOWN_MAX = 200
const ALL_CHANNELS = 7

/** As `GET /api/websocket/clients` gives it. */
interface ClientRow {
  readonly id: string
  readonly client_type: string | null
  readonly client_name: string | null
  readonly subject: string | null
  readonly connected_at: string
  readonly protocol: string
  readonly transport: string
  readonly channels: readonly string[]
  readonly cursor_lag: number
  readonly queued_bytes: number
  readonly node: string
}

export function ClientsPanel() {
  const { t, number, time } = useText()
  const { value, again, timeMs, failure } = useReading<{ clients: ClientRow[]; count: number }>(
    '/api/websocket/clients',
  )
  const [traced, setTraced] = useState<ClientRow | undefined>(undefined)
  const headings = [
    'type',
    'name',
    'subject',
    'channels',
    'lag',
    'unsent',
    'transport',
    'node',
    'since',
    'actions',
  ] as const
  return (
    <Panel
      title={t('clients.title')}
      name="clients"
      aside={
        <p className="panel-aside">
          {value && <span className="count-tag">{number(value.count)}</span>}
          {timeMs > 0 && <span className="muted">{t('clients.as-of', { time: time(timeMs) })}</span>}
          <button type="button" className="button button-small" onClick={again}>
            {t('clients.refresh')}
          </button>
        </p>
      }
    >
      {failure !== '' && <p className="bad">{t('failed', { reason: failure })}</p>}
      {!value && failure === '' && <Loading lines={4} />}
      {value?.count === 0 && <Empty icon="operations">{t('clients.empty')}</Empty>}
      {value && value.count > 0 && (
        <div className="table-box" tabIndex={0} role="group" aria-label={t('clients.title')}>
          <table className="table clients">
            <thead>
              <tr>
                {headings.map((name) => (
                  <th key={name} scope="col" className={`column-${name}`}>
                    {t(`clients.${name}`)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {value.clients.slice(0, SHOWN_MAX).map((client) => (
                <One key={client.id} client={client} onDone={again} onTrace={() => setTraced(client)} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {traced && <TraceDialog id={traced.id} name={nameOf(traced)} onClose={() => setTraced(undefined)} />}
    </Panel>
  )
}

const nameOf = ({ client_name, client_type, id }: ClientRow) => client_name ?? client_type ?? id.slice(0, 8)

interface OneProps {
  readonly client: ClientRow
  readonly onDone: () => void
  readonly onTrace: () => void
}

function One({ client, onDone, onTrace }: OneProps) {
  const { t, number, bytes, when } = useText()
  const { api, notices } = useLive()
  const { isBusy, act } = useAct()
  const [isAsking, setAsking] = useState(false)
  const {
    id,
    client_type,
    client_name,
    subject,
    channels,
    cursor_lag,
    queued_bytes,
    protocol,
    transport,
    node,
  } = client
  const name = nameOf(client)
  const framing = protocol.split('.').at(-1) ?? protocol

  const disconnect = () =>
    act(async () => {
      await api.change('POST', `/api/websocket/disconnect/${id}`, { reason: 'disconnected by an operator' })
      notices.add('done', t('clients.done', { name }))
      onDone()
    })
  return (
    <tr data-client={id}>
      <td data-label={t('clients.type')} className="column-type">
        {client_type ?? '–'}
      </td>
      <th scope="row" data-label={t('clients.name')} className="column-name">
        {client_name ?? '–'}
      </th>
      <td data-label={t('clients.subject')}>{subject ?? '–'}</td>
      <td data-label={t('clients.channels')} className="column-channels" title={channels.join(', ')}>
        {channels.length === ALL_CHANNELS ? number(ALL_CHANNELS) : channels.join(', ') || '–'}
      </td>
      <td data-label={t('clients.lag')} className={cursor_lag > 0 ? 'column-number warn' : 'column-number'}>
        {number(cursor_lag)}
      </td>
      <td
        data-label={t('clients.unsent')}
        className={queued_bytes > 0 ? 'column-number warn' : 'column-number'}
      >
        {bytes(queued_bytes)}
      </td>
      <td data-label={t('clients.transport')}>{transport === 'websocket' ? framing : transport}</td>
      <td data-label={t('clients.node')}>{node}</td>
      <td data-label={t('clients.since')} className="column-number">
        {when(client.connected_at)}
      </td>
      <td className="column-actions">
        {isAsking ? (
          <>
            <button
              type="button"
              className="button button-small button-reject"
              disabled={isBusy}
              onClick={disconnect}
            >
              {t('clients.sure')}
            </button>
            <button type="button" className="button button-small" onClick={() => setAsking(false)}>
              {t('clients.cancel')}
            </button>
          </>
        ) : (
          <>
            <button
              type="button"
              className="button button-small"
              aria-label={t('clients.trace.one', { name })}
              onClick={onTrace}
            >
              {t('clients.trace')}
            </button>
            <button
              type="button"
              className="button button-small"
              aria-label={t('clients.disconnect.one', { name })}
              onClick={() => setAsking(true)}
            >
              {t('clients.disconnect')}
            </button>
          </>
        )}
      </td>
    </tr>
  )
}
