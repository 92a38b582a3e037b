/** Tokens for others: issue one as a link and a code to scan, revoke one or all of a subject. */
import { useState, type FormEvent } from 'react'
import { useText, type TextKey } from '../text.tsx'
import { useLive } from './live-context.ts'
import { Panel } from './parts.tsx'
import { Qr } from './qr.tsx'
import { useAct } from './use-act.ts'

const scopes = {
  decide: 'events:read api:read api:write',
  look: 'events:read api:read',
  work: 'events:read events:publish api:read api:write',
  all: 'events:read events:publish api:read api:write admin',
} as const
const spans = [
  ['tokens.day', 86_400],
  ['tokens.hour', 3600],
  ['tokens.month', 2_592_000],
] as const satisfies readonly (readonly [TextKey, number])[]

const ISSUED_MAX = 20

interface Issued {
  readonly token: string
  readonly jti: string
  readonly subject: string
  readonly expires_at: string
}

export function TokensPanel() {
  const { t, moment } = useText()
  const { api, notices } = useLive()
  const { isBusy, act } = useAct()
  const [issued, setIssued] = useState<readonly Issued[]>([])
  const [shown, setShown] = useState<Issued | undefined>(undefined)

  const issue = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const fields = new FormData(event.currentTarget)
    const rights = String(fields.get('rights')) as keyof typeof scopes
    act(async () => {
      const { value } = await api.post<Issued>('/api/tokens', {
        subject: String(fields.get('subject') ?? '').trim(),
        scope: scopes[rights],
        expires_in: Number(fields.get('lasts')),
      })
      setShown(value)
      setIssued([value, ...issued].slice(0, ISSUED_MAX))
    })
  }
  const revoke = (body: { jti: string } | { subject: string }, what: string) =>
    act(async () => {
      await api.change('POST', '/api/tokens/revoke', body)
      notices.add('done', t('tokens.revoked', { what }))
      const stays = ({ jti, subject }: Issued) =>
        'jti' in body ? jti !== body.jti : subject !== body.subject
      setIssued(issued.filter(stays))
      setShown(shown && stays(shown) ? shown : undefined)
    })
  const revokeSubject = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const subject = String(new FormData(event.currentTarget).get('subject') ?? '').trim()
    if (subject !== '') revoke({ subject }, subject)
  }
  return (
    <Panel title={t('tokens.title')} name="tokens">
      <form className="form form-issue" onSubmit={issue}>
        <label>
          {t('tokens.subject')}
          <input name="subject" required maxLength={100} autoComplete="off" spellCheck={false} />
        </label>
        <label>
          {t('tokens.rights')}
          <select name="rights">
            {(['decide', 'look', 'work', 'all'] as const).map((name) => (
              <option key={name} value={name}>
                {t(`tokens.rights.${name}`)}
              </option>
            ))}
          </select>
        </label>
        <label>
          {t('tokens.lasts')}
          <select name="lasts">
            {spans.map(([key, seconds]) => (
              <option key={seconds} value={seconds}>
                {t(key)}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" className="button button-main" disabled={isBusy}>
          {t('tokens.issue')}
        </button>
      </form>
      {shown && <Pairing key={shown.jti} issued={shown} />}
      {issued.length > 0 && (
        <section aria-label={t('tokens.issued')}>
          <h3>{t('tokens.issued')}</h3>
          <ul className="issued">
            {issued.map(({ jti, subject, expires_at }) => (
              <li key={jti}>
                <span className="issued-subject">{subject}</span>
                <span className="muted">{moment(expires_at)}</span>
                <button
                  type="button"
                  className="button button-small"
                  disabled={isBusy}
                  onClick={() => revoke({ jti }, subject)}
                >
                  {t('tokens.revoke')}
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
      <form className="form form-row" onSubmit={revokeSubject}>
        <label>
          {t('tokens.revoke.subject')}
          <input name="subject" required maxLength={256} autoComplete="off" spellCheck={false} />
        </label>
        <button type="submit" className="button button-reject" disabled={isBusy}>
          {t('tokens.revoke')}
        </button>
      </form>
    </Panel>
  )
}

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

function Pairing({ issued: { token, subject, expires_at } }: { readonly issued: Issued }) {
  const { t, moment } = useText()
  const { notices } = useLive()
  const link = `${location.origin}/#token=${token}`
  const copy = () => {
    navigator.clipboard.writeText(link).then(
      () => notices.add('done', t('tokens.copied')),
      (error: unknown) => notices.add('failed', t('failed', { reason: String(error) })),
    )
  }
  return (
    <div className="pairing">
      <Qr text={link} label={t('tokens.code')} />
      <div>
        <p>{t('tokens.pair', { subject, time: moment(expires_at) })}</p>
        {loopback.test(location.hostname) && (
          <p className="warn">{t('tokens.loopback', { host: location.host })}</p>
        )}
        <p className="muted">{t('tokens.secret', { subject })}</p>
        {'clipboard' in navigator && (
          <button type="button" className="button" onClick={copy}>
            {t('tokens.copy')}
          </button>
        )}
      </div>
    </div>
  )
}
