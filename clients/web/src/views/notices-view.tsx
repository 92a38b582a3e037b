/** What operators say stays until it is put away; what this page says goes by itself. */
import { useEffect } from 'react'
import type { Notice } from '../notices.ts'
import { useText } from '../text.tsx'
import { Icon } from './icon.tsx'
import { useLivePart } from './live-context.ts'

const SHOWN_MS = 6000
/** More would hide what the page is for; the older ones come back as these are put away. */
const SHOWN_MAX = 3

export function Notices() {
  const { t } = useText()
  const { notices } = useLivePart('notices')
  const all = notices.list()
  return (
    <div className="notices" role="status">
      {all.length > SHOWN_MAX && (
        <button type="button" className="button notices-clear" onClick={notices.clear}>
          {t('notices.clear', { count: all.length })}
        </button>
      )}
      {all.slice(-SHOWN_MAX).map((notice) => (
        <One key={notice.id} notice={notice} onGone={() => notices.dismiss(notice.id)} />
      ))}
    </div>
  )
}

function One({ notice, onGone }: { readonly notice: Notice; readonly onGone: () => void }) {
  const { t, time } = useText()
  const { kind, text, timeMs } = notice
  useEffect(() => {
    if (kind === 'said') return
    const timer = setTimeout(onGone, SHOWN_MS)
    return () => clearTimeout(timer)
  }, [kind])
  return (
    <div className={`notice notice-${kind}`}>
      <Icon name={kind === 'said' ? 'message' : kind === 'done' ? 'check' : 'error'} />
      <div>
        {kind === 'said' && (
          <p className="notice-who">
            {t('notice.said')} · {time(timeMs)}
          </p>
        )}
        <p>{text}</p>
      </div>
      <button type="button" className="button-icon" aria-label={t('close')} onClick={onGone}>
        <Icon name="cross" />
      </button>
    </div>
  )
}
