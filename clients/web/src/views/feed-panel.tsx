/** The newest events as sentences, by channel and by words; scrolled down it stands still. */
import { memo, useDeferredValue, useRef, useState } from 'react'
import type { Channel, LightwireEvent } from '../../../typescript/src/events.ts'
import { keyOf, levelOf } from '../model/feed.ts'
import { useText } from '../text.tsx'
import { eventSentence } from './event-sentence.tsx'
import { Icon } from './icon.tsx'
import { useLive, useLivePart } from './live-context.ts'
import { Empty, Loading, Panel } from './parts.tsx'
import { useIsPhone } from './use-is-phone.ts'
import { isTyping, useKeys } from './use-keys.ts'
import { useVirtual } from './use-virtual.ts'

const ROW = 32
const ROW_PHONE = 52

export function FeedPanel() {
  const { t, number } = useText()
  const { model } = useLivePart('feed')
  const { channels } = useLive().rights
  const [chosen, setChosen] = useState<ReadonlySet<Channel>>(() => new Set(channels))
  const [withStates, setWithStates] = useState(false)
  const [words, setWords] = useState('')
  const sought = useDeferredValue(words.trim().toLowerCase())
  const frozen = useRef<readonly LightwireEvent[] | undefined>(undefined)
  const find = useRef<HTMLInputElement>(null)
  const rowHeight = useIsPhone() ? ROW_PHONE : ROW

  const { feed } = model
  const count = feed.count(withStates)
  const newest = feed.list({ channels: chosen, withStates, words: sought })
  const virtual = useVirtual(rowHeight)
  if (virtual.top < rowHeight) frozen.current = undefined
  else frozen.current ??= newest
  const events = frozen.current ?? newest
  const newer = countBefore(newest, events[0])
  const { first, last } = virtual.range(events.length)

  useKeys((event) => {
    if (event.key !== '/' || isTyping(event.target)) return
    event.preventDefault()
    find.current?.focus()
  })

  const change = (act: () => void) => {
    frozen.current = undefined
    virtual.scrollToTop()
    act()
  }
  const toggle = (channel: Channel) =>
    change(() => setChosen(new Set(channels.filter((one) => chosen.has(one) !== (one === channel)))))

  return (
    <Panel
      title={t('feed.title')}
      name="feed"
      aside={
        <div className="feed-tools">
          <button
            type="button"
            className="chip chip-states"
            aria-pressed={withStates}
            onClick={() => change(() => setWithStates(!withStates))}
          >
            {t('feed.states')}
          </button>
          <label className="find">
            <Icon name="search" />
            <input
              ref={find}
              type="search"
              value={words}
              placeholder={t('feed.find')}
              aria-label={t('feed.find')}
              onChange={({ target }) => change(() => setWords(target.value))}
            />
          </label>
        </div>
      }
    >
      <div className="chips" role="group" aria-label={t('feed.channels')}>
        {channels.map((channel) => (
          <button
            key={channel}
            type="button"
            className={`chip chip-${channel}`}
            aria-pressed={chosen.has(channel)}
            onClick={() => toggle(channel)}
          >
            {t(`channel.${channel}`)}
          </button>
        ))}
      </div>
      {!model.isLoaded && <Loading lines={8} />}
      {model.isLoaded && events.length === 0 && (
        <Empty icon="live">{t(count === 0 ? 'feed.empty' : 'feed.none')}</Empty>
      )}
      <div className="feed-box">
        {newer > 0 && (
          <button type="button" className="feed-newer" onClick={virtual.scrollToTop}>
            {t('feed.newer', { count: number(newer) })}
          </button>
        )}
        <div ref={virtual.ref} className="feed-scroll" tabIndex={0} role="group" aria-label={t('feed.title')}>
          <ol className="feed" style={{ height: events.length * rowHeight }}>
            {events.slice(first, last).map((event, index) => (
              // By its place: what moves on is written anew in the rows that are there, none is made or removed.
              <Row
                key={index}
                event={event}
                top={(first + index) * rowHeight}
                place={first + index + 1}
                count={events.length}
              />
            ))}
          </ol>
        </div>
      </div>
    </Panel>
  )
}

/** All of them where it is no longer kept. */
function countBefore(newest: readonly LightwireEvent[], event: LightwireEvent | undefined): number {
  if (!event) return 0
  const place = newest.findIndex((one) => keyOf(one) === keyOf(event))
  return place === -1 ? newest.length : place
}

interface RowProps {
  readonly event: LightwireEvent
  readonly top: number
  readonly place: number
  readonly count: number
}

const Row = memo(function Row({ event, top, place, count }: RowProps) {
  const text = useText()
  const { model } = useLive()
  return (
    <li
      className={`event event-${levelOf(event)}`}
      style={{ transform: `translateY(${top}px)` }}
      aria-posinset={place}
      aria-setsize={count}
    >
      <time dateTime={event.timestamp}>{text.time(event.timestamp)}</time>
      <span className={`tag tag-${event.channel}`}>{text.t(`channel.${event.channel}`)}</span>
      <span className="event-text">{eventSentence(model, text, event)}</span>
    </li>
  )
})
