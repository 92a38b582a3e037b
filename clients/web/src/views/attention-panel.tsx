/** Warnings and errors, until somebody says that they were seen. */
import { keyOf, levelOf } from '../model/feed.ts'
import { useText } from '../text.tsx'
import { eventSentence } from './event-sentence.tsx'
import { Icon } from './icon.tsx'
import { useLivePart } from './live-context.ts'
import { Panel } from './parts.tsx'

const SHOWN = 20

export function AttentionPanel() {
  const text = useText()
  const { t, when, number } = text
  const { model, store } = useLivePart('alerts')
  useLivePart('names')
  const alerts = model.alerts.list()
  const see = (keys: readonly string[]) => {
    model.alerts.see(keys)
    store.touch('alerts')
  }
  const all = (
    <button type="button" className="button-text" onClick={() => see(alerts.map(keyOf))}>
      {t('attention.all')}
    </button>
  )
  return (
    <Panel title={t('attention.title')} name="attention" aside={alerts.length > 1 ? all : undefined}>
      {alerts.length === 0 && <p className="muted attention-empty">{t('attention.empty')}</p>}
      {alerts.length > 0 && (
        <ul className="alerts" tabIndex={0} aria-label={t('attention.title')}>
          {alerts.slice(0, SHOWN).map((event) => {
            const level = levelOf(event)
            return (
              <li key={keyOf(event)} className={`alert alert-${level}`}>
                <Icon name={level === 'error' ? 'error' : 'warning'} />
                <p>
                  {eventSentence(model, text, event)}{' '}
                  <time dateTime={event.timestamp}>{when(event.timestamp)}</time>
                </p>
                <button type="button" className="button button-small" onClick={() => see([keyOf(event)])}>
                  {t('attention.seen')}
                </button>
              </li>
            )
          })}
        </ul>
      )}
      {alerts.length > SHOWN && (
        <p className="muted jobs-more">{t('jobs.more', { count: number(alerts.length - SHOWN) })}</p>
      )}
    </Panel>
  )
}
