/** The page as a whole: with a token, or where none is needed, one life of it; else the way in. */
import { useEffect, useMemo, useState } from 'react'
import { isNo } from './api.ts'
import { createLive, type Live } from './live.ts'
import { keepToken, takeToken } from './session.ts'
import { chooseLanguage, createText, TextProvider, type Language } from './text.tsx'
import { EntryView, type EntryReason } from './views/entry-view.tsx'
import { LiveProvider } from './views/live-context.ts'
import { Shell } from './views/shell.tsx'

const RETRY_MS = 2000

interface AppProps {
  readonly startToken: string | undefined
  readonly startLanguage: Language
}

export function App({ startToken, startLanguage }: AppProps) {
  const [language, setLanguage] = useState(startLanguage)
  const [live, setLive] = useState<Live | undefined>(() =>
    startToken === undefined ? undefined : createLive(startToken),
  )
  const [reason, setReason] = useState<EntryReason>('checking')
  const text = useMemo(() => createText(language), [language])

  const begin = (token: string | undefined) => {
    keepToken(token)
    setLive((before) => {
      before?.close()
      return createLive(token)
    })
  }
  const end = (why: EntryReason) => {
    keepToken(undefined)
    setReason(why)
    setLive((before) => {
      before?.close()
      return undefined
    })
  }

  // Another start link in the same tab changes nothing but the fragment.
  useEffect(() => {
    const onHash = () => {
      if (!location.hash.includes('token=')) return
      const token = takeToken()
      if (token !== undefined) begin(token)
    }
    addEventListener('hashchange', onHash)
    return () => removeEventListener('hashchange', onHash)
  }, [])

  useEffect(() => {
    if (live || (reason !== 'checking' && reason !== 'unreachable')) return
    let isOver = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = async () => {
      const answer = await fetch('/api/queue', { cache: 'no-store' }).catch(() => undefined)
      if (isOver) return
      if (answer?.ok) return begin(undefined)
      // Without a token this machine's programs may have some rights, and not this one.
      if (answer && isNo(answer.status)) return setReason('missing')
      setReason('unreachable')
      timer = setTimeout(() => void look(), RETRY_MS)
    }
    void look()
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [live, reason])

  useEffect(() => {
    if (!live) return
    const look = () => {
      const { status, code } = live.link()
      if (status !== 'closed') return
      if (code === 'disconnected') end('revoked')
      // None was given that could be refused.
      else if (!live.hasToken) end('missing')
      // The server's word: this device's clock may be wrong.
      else end(code === 'unauthenticated' ? 'expired' : 'refused')
    }
    look()
    return live.store.subscribe('link', look)
  }, [live])

  const changeLanguage = (next: Language) => {
    chooseLanguage(next)
    setLanguage(next)
  }
  return (
    <TextProvider value={text}>
      {live ? (
        <LiveProvider value={live}>
          <Shell onLanguage={changeLanguage} onLeave={() => end('missing')} />
        </LiveProvider>
      ) : (
        <EntryView reason={reason} onToken={begin} />
      )}
    </TextProvider>
  )
}
