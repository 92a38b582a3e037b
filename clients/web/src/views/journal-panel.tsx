/** What flows on each channel. */
import { useText, type TextKey } from '../text.tsx'
import { allChannels } from '../rights.ts'
import { Loading, Panel } from './parts.tsx'
import { useReading } from './use-reading.ts'

interface ChannelRow {
  readonly channel: (typeof allChannels)[number]
  readonly head_seq: number
  readonly subscribers: number
  readonly events_last_minute: number
}

export function JournalPanel() {
  const { t, number } = useText()
  const { value } = useReading<{ channels: ChannelRow[] }>('/api/websocket/channels')
  return (
    <Panel title={t('journal.title')} name="journal">
      {!value && <Loading lines={5} />}
      {value && (
        <div className="table-box" tabIndex={0} role="group" aria-label={t('journal.title')}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('journal.channel')}</th>
                <th scope="col" className="column-number">
                  {t('journal.head')}
                </th>
                <th scope="col" className="column-number">
                  {t('journal.minute')}
                </th>
                <th scope="col" className="column-number">
                  {t('journal.subscribers')}
                </th>
              </tr>
            </thead>
            <tbody>
              {value.channels.map(({ channel, head_seq, subscribers, events_last_minute }) => (
                <tr key={channel}>
                  <th scope="row">{t(`channel.${channel}` satisfies TextKey)}</th>
                  <td className="column-number">{number(head_seq)}</td>
                  <td className="column-number">{number(events_last_minute)}</td>
                  <td className="column-number">{number(subscribers)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}
