/** One photo that waits for a verdict: what it looks like, what is known of it, and the two ways out. */
import { memo, useEffect, useRef, useState } from 'react'
import type { Verdict } from '../decisions.ts'
import type { Card } from '../model/approval.ts'
import type { Thumbnails } from '../thumbnails.ts'
import { useText } from '../text.tsx'
import { Icon } from './icon.tsx'
import { useSwipe } from './use-swipe.ts'

interface CardProps {
  readonly card: Card
  readonly sessionName: string
  readonly isSelected: boolean
  readonly isTabStop: boolean
  readonly refusal: string
  readonly mayDecide: boolean
  readonly thumbnails: Thumbnails
  readonly onDecide: (id: number, verdict: Verdict) => void
  readonly onSelect: (id: number, isRange: boolean) => void
  readonly onFocus: (id: number) => void
}

export const PhotoCard = memo(function PhotoCard(props: CardProps) {
  const { card, sessionName, isSelected, isTabStop, refusal, mayDecide, thumbnails } = props
  const { id, file_name: photo, ai_score, selected_preset, context_tag } = card
  const { t, score: points } = useText()
  const swipe = useSwipe(
    (direction) => mayDecide && props.onDecide(id, direction === 'right' ? 'approve' : 'reject'),
  )
  const score = ai_score === null ? t('approval.unscored') : t('approval.score', { score: points(ai_score) })
  const shown = [sessionName, context_tag, selected_preset].filter((part) => part !== '')
  const isPulled = swipe.offset !== 0
  return (
    <li
      className={`card${isSelected ? ' card-selected' : ''}${isPulled ? ' card-pulled' : ''}`}
      data-photo={id}
      tabIndex={isTabStop ? 0 : -1}
      aria-label={[photo, score, ...shown].join(', ')}
      onFocus={() => props.onFocus(id)}
      {...(isPulled
        ? { 'data-pull': swipe.offset > 0 ? 'approve' : 'reject', 'data-enough': swipe.isEnough }
        : {})}
    >
      <div
        className="card-body"
        style={{
          transform: isPulled ? `translateX(${swipe.offset}px) rotate(${swipe.offset / 60}deg)` : 'none',
        }}
        {...swipe.handlers}
      >
        <Preview id={id} thumbnails={thumbnails} photo={photo} />
        <label className="card-select">
          <input
            type="checkbox"
            tabIndex={-1}
            checked={isSelected}
            aria-label={t('approval.select.one', { photo })}
            onChange={() => undefined}
            onClick={({ shiftKey }) => props.onSelect(id, shiftKey)}
          />
        </label>
        <p className="card-score" title={score}>
          <Icon name="star" isFilled />
          {ai_score === null ? '–' : points(ai_score)}
        </p>
        <div className="card-about">
          <p className="card-name" title={photo}>
            {photo}
          </p>
          <p className="card-detail">{shown.join(' · ')}</p>
          {refusal !== '' && (
            <p className="card-refusal" role="alert">
              {refusal}
            </p>
          )}
        </div>
        {mayDecide && (
          <div className="card-acts">
            <button
              type="button"
              className="act act-reject"
              tabIndex={isTabStop ? 0 : -1}
              aria-label={t('approval.reject.one', { photo })}
              onClick={() => props.onDecide(id, 'reject')}
            >
              <Icon name="cross" />
              {t('approval.reject')}
            </button>
            <button
              type="button"
              className="act act-approve"
              tabIndex={isTabStop ? 0 : -1}
              aria-label={t('approval.approve.one', { photo })}
              onClick={() => props.onDecide(id, 'approve')}
            >
              <Icon name="check" />
              {t('approval.approve')}
            </button>
          </div>
        )}
      </div>
    </li>
  )
})

interface PreviewProps {
  readonly id: number
  readonly photo: string
  readonly thumbnails: Thumbnails
}

/** Looked for once it comes near the screen. */
function Preview({ id, photo, thumbnails }: PreviewProps) {
  const { t } = useText()
  const [address, setAddress] = useState(() => thumbnails.peek(id))
  const box = useRef<HTMLDivElement>(null)

  useEffect(() => {
    const element = box.current
    if (!element || thumbnails.peek(id) !== undefined) return
    let asked: AbortController | undefined
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting && !asked) {
          asked = new AbortController()
          void thumbnails.get(id, asked.signal).then(setAddress)
        } else if (!entry?.isIntersecting && asked) {
          asked.abort()
          asked = undefined
        }
      },
      { rootMargin: '300px' },
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      asked?.abort()
    }
  }, [id, thumbnails])

  const ending = photo.includes('.') ? (photo.split('.').at(-1) ?? '').slice(0, 5).toUpperCase() : ''
  return (
    <div ref={box} className="preview">
      {typeof address === 'string' ? (
        <img src={address} alt="" draggable={false} />
      ) : (
        <div className={address === null ? 'tile' : 'tile tile-loading'} title={t('approval.no-preview')}>
          <Icon name="photo" />
          <span>{ending}</span>
        </div>
      )}
    </div>
  )
}
