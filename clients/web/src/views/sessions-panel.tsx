/** The shoots with how far each is. */
import { memo, useState } from 'react'
import type { SessionRow } from '../model/sessions.ts'
import { useText, type TextKey } from '../text.tsx'
import { useLivePart } from './live-context.ts'
import { Bar, Empty, Loading, Panel } from './parts.tsx'

const SHOWN = 4
const SHOWN_MAX = 100

const known: Readonly<Record<string, TextKey>> = {
  importing: 'sessions.status.importing',
  processing: 'sessions.status.processing',
  selecting: 'sessions.status.selecting',
  developing: 'sessions.status.developing',
  exporting: 'sessions.status.exporting',
  completed: 'sessions.status.completed',
}

export function SessionsPanel() {
  const { t, number } = useText()
  const { model, rights } = useLivePart('sessions')
  const [showsAll, setShowsAll] = useState(false)
  const all = model.sessions.list()
  const shown = all.slice(0, showsAll ? SHOWN_MAX : SHOWN)
  return (
    <Panel title={t('sessions.title')} name="sessions">
      {!model.isLoaded && <Loading />}
      {model.isLoaded && all.length === 0 && (
        <Empty icon="photo">
          {rights.channels.includes('sessions')
            ? t(rights.apiRead ? 'sessions.empty' : 'sessions.unread')
            : t('none.channel', { channel: 'sessions' })}
        </Empty>
      )}
      <ul className="sessions">
        {shown.map((row) => (
          <One key={row.id} row={row} />
        ))}
      </ul>
      {all.length > SHOWN && (
        <button type="button" className="button-text" onClick={() => setShowsAll(!showsAll)}>
          {showsAll
            ? t('sessions.fewer')
            : t('sessions.more', { count: number(Math.min(all.length, SHOWN_MAX) - SHOWN) })}
        </button>
      )}
    </Panel>
  )
}

const One = memo(function One({ row }: { readonly row: SessionRow }) {
  const { t, number, percent } = useText()
  const { name, status, processed_photos, total_photos, progress_percent } = row
  const key = known[status]
  const isDone = status === 'completed'
  return (
    <li className="session">
      <p className="session-name" title={name}>
        {name}
      </p>
      <p className={isDone ? 'session-status session-done' : 'session-status'}>{key ? t(key) : status}</p>
      <Bar value={progress_percent} label={name} isDone={isDone} />
      <p className="session-percent">{percent(Math.floor(progress_percent))}</p>
      <p className="session-photos">
        {t('sessions.photos', { done: number(processed_photos), total: number(total_photos) })}
      </p>
    </li>
  )
})
