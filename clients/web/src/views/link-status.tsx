/** How the server is reached: a word in the corner, a sentence when it is not. */
import { useSyncExternalStore } from 'react'
import { useText } from '../text.tsx'
import { useLivePart } from './live-context.ts'

type Shown = 'connected' | 'connecting' | 'waiting' | 'offline' | 'closed'

function useShown(): Shown {
  const { link, model, rights } = useLivePart('link')
  const isOnline = useSyncExternalStore(watchOnline, () => navigator.onLine)
  const { status } = link()
  if (status === 'closed') return 'closed'
  // Without channels there is nothing to load.
  if (status === 'connected')
    return model.isLoaded || rights.channels.length === 0 ? 'connected' : 'connecting'
  if (!isOnline) return 'offline'
  return status === 'connecting' && !model.isLoaded ? 'connecting' : 'waiting'
}

function watchOnline(listener: () => void): () => void {
  addEventListener('online', listener)
  addEventListener('offline', listener)
  return () => {
    removeEventListener('online', listener)
    removeEventListener('offline', listener)
  }
}

export function LinkPill() {
  const { t } = useText()
  const shown = useShown()
  return (
    <p className={`pill pill-${shown}`} role="status">
      <span className="dot" aria-hidden="true" />
      <span className="pill-text">{t(`link.${shown}`)}</span>
    </p>
  )
}

export function LinkBanner() {
  const { t, time } = useText()
  const shown = useShown()
  const { lastHeard, model } = useLivePart('link')
  if (shown !== 'waiting' && shown !== 'offline') return null
  const text = model.isLoaded
    ? t(`link.banner.${shown}`, { time: time(lastHeard()) })
    : t('entry.unreachable')
  return <p className="banner">{text}</p>
}
