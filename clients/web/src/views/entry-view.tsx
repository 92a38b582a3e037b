/** The way in: for who has no token, or one that is of no use any more. */
import { useState, type FormEvent } from 'react'
import { looksLikeToken } from '../rights.ts'
import { useText, type TextKey } from '../text.tsx'
import { Mark } from './icon.tsx'

export type EntryReason = 'checking' | 'unreachable' | 'missing' | 'expired' | 'revoked' | 'refused'

const sentences = {
  checking: 'entry.checking',
  unreachable: 'entry.unreachable',
  missing: 'entry.text',
  expired: 'entry.expired',
  revoked: 'entry.revoked',
  refused: 'entry.refused',
} as const satisfies Record<EntryReason, TextKey>

interface EntryProps {
  readonly reason: EntryReason
  readonly onToken: (token: string) => void
}

export function EntryView({ reason, onToken }: EntryProps) {
  const { t } = useText()
  const [isBad, setBad] = useState(false)
  const isWaiting = reason === 'checking' || reason === 'unreachable'

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const given = String(new FormData(event.currentTarget).get('token') ?? '').trim()
    // A whole link may be pasted as well.
    const token = given.split('token=').at(-1) ?? ''
    if (looksLikeToken(token)) onToken(token)
    else setBad(true)
  }
  return (
    <main className="entry">
      <div className="entry-card">
        <p className="wordmark">
          <Mark />
          Lightwire
        </p>
        {!isWaiting && <h1>{t('entry.title')}</h1>}
        <p role="status" className={reason === 'checking' || reason === 'missing' ? '' : 'entry-reason'}>
          {t(sentences[reason])}
        </p>
        {!isWaiting && (
          <form onSubmit={submit} noValidate>
            <label>
              {t('entry.token')}
              <input
                name="token"
                type="password"
                autoComplete="off"
                spellCheck={false}
                aria-invalid={isBad}
                aria-describedby="entry-note"
                onChange={() => setBad(false)}
              />
            </label>
            <button type="submit" className="button button-main">
              {t('entry.go')}
            </button>
            <p id="entry-note" className={isBad ? 'bad' : 'muted'}>
              {t(isBad ? 'entry.bad' : 'entry.kept')}
            </p>
          </form>
        )}
        {!isWaiting && (
          <p className="muted">
            {t('entry.hint')} <code>node cli/bun.mjs run server.ts token</code>
          </p>
        )}
      </div>
    </main>
  )
}
