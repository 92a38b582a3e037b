/** A word to everybody, to a channel, or to a kind of client. */
import type { FormEvent } from 'react'
import { allChannels } from '../rights.ts'
import { useText } from '../text.tsx'
import { useLive } from './live-context.ts'
import { Panel } from './parts.tsx'
import { useAct } from './use-act.ts'

const TEXT_MAX = 500
const clientTypes = ['web', 'mobile', 'gui', 'lightroom'] as const

export function BroadcastPanel() {
  const { t, number } = useText()
  const { api, notices } = useLive()
  const { isBusy, act } = useAct()

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const fields = new FormData(form)
    const text = String(fields.get('text') ?? '').trim()
    const [kind = '', name = ''] = String(fields.get('to') ?? '').split(':')
    if (text === '') return
    act(async () => {
      const { value } = await api.change<{ recipients: number }>('POST', '/api/websocket/broadcast', {
        message: { type: 'notice', text },
        ...(kind === '' ? {} : { [kind]: name }),
      })
      notices.add('done', t('broadcast.done', { count: number(value.recipients) }))
      form.reset()
    })
  }
  return (
    <Panel title={t('broadcast.title')} name="broadcast">
      <form className="form" onSubmit={submit}>
        <label>
          {t('broadcast.text')}
          <textarea name="text" rows={2} maxLength={TEXT_MAX} required />
        </label>
        <label>
          {t('broadcast.to')}
          <select name="to">
            <option value="">{t('broadcast.everybody')}</option>
            {clientTypes.map((type) => (
              <option key={type} value={`client_type:${type}`}>
                {t('broadcast.type', { type })}
              </option>
            ))}
            {allChannels.map((channel) => (
              <option key={channel} value={`channel:${channel}`}>
                {t('broadcast.channel', { channel: t(`channel.${channel}`) })}
              </option>
            ))}
          </select>
        </label>
        <div className="form-end">
          <p className="muted">{t('broadcast.note')}</p>
          <button type="submit" className="button button-main" disabled={isBusy}>
            {t('broadcast.send')}
          </button>
        </div>
      </form>
    </Panel>
  )
}
