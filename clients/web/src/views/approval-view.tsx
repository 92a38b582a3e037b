/** The queue as cards: decide one by one or many at once, by button, key or swipe. */
import {
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  type FocusEvent,
  type KeyboardEvent,
} from 'react'
import type { Refused, Verdict } from '../decisions.ts'
import type { Card } from '../model/approval.ts'
import { useText, type Text } from '../text.tsx'
import { Icon } from './icon.tsx'
import { useLivePart } from './live-context.ts'
import { Empty, Loading, NoRights } from './parts.tsx'
import { PhotoCard } from './photo-card.tsx'
import { isTyping, useKeys } from './use-keys.ts'

/** Drawn at first, and again as many when the end comes near. */
const PAGE = 48

export function ApprovalView() {
  const text = useText()
  const { rights } = useLivePart('approval')
  const needed = ['approval', 'jobs', 'photos'] as const
  if (!rights.apiRead || needed.some((channel) => !rights.channels.includes(channel)))
    return <NoRights>{text.t('none.approval')}</NoRights>
  return <Queue />
}

function Queue() {
  const text = useText()
  const { t, number } = text
  const { model, decisions, rights, thumbnails } = useLivePart('approval')
  useLivePart('sessions')
  const [sessionId, setSessionId] = useState(0)
  const [selected, setSelected] = useState<ReadonlySet<number>>(new Set())
  const [current, setCurrent] = useState(0)
  const [drawn, setDrawn] = useState(PAGE)
  const list = useRef<HTMLUListElement>(null)
  const anchor = useRef(0)
  /** The place whose photo gets the focus once it is drawn: the one decided on is gone then. */
  const focusNext = useRef<number | undefined>(undefined)

  const { approval, sessions } = model
  const open = approval.list().filter(({ id }) => decisions.verdictOf(id) === undefined)
  const waitingIds = new Set(open.flatMap(({ session_id }) => session_id ?? []))
  // One that is decided stays chosen: the next key must not fall on photos of another.
  const chosenId = waitingIds.has(sessionId) || sessions.get(sessionId) ? sessionId : 0
  if (chosenId !== 0) waitingIds.add(chosenId)
  const sessionIds = [...waitingIds]
  const cards = chosenId === 0 ? open : open.filter(({ session_id }) => session_id === chosenId)
  const ids = cards.map(({ id }) => id)
  const chosen = ids.filter((id) => selected.has(id))
  const place = Math.max(0, ids.indexOf(current))
  const left = decisions.left(approval.total)
  useEffect(() => {
    approval.lookAt(chosenId)
    return () => approval.lookAt(0)
  }, [approval, chosenId])
  const nameOf = (id: number | null) => (id === null ? '' : (sessions.get(id)?.name ?? ''))

  const focusAt = (index: number) => {
    const id = ids[Math.min(Math.max(0, index), ids.length - 1)]
    if (id === undefined) return
    setCurrent(id)
    list.current?.querySelector<HTMLElement>(`[data-photo="${id}"]`)?.focus()
  }
  // The one that had the focus may be decided on elsewhere: the next one has it then.
  const focused = useRef<{ readonly id: number; readonly place: number } | undefined>(undefined)
  useLayoutEffect(() => {
    const isLost =
      document.activeElement === document.body && focused.current && !ids.includes(focused.current.id)
    const next = focusNext.current ?? (isLost ? focused.current?.place : undefined)
    focusNext.current = undefined
    if (next !== undefined) focusAt(next)
  })
  const onFocus = (id: number) => {
    focused.current = { id, place: ids.indexOf(id) }
    setCurrent(id)
  }

  const decide = (which: readonly number[], verdict: Verdict) => {
    if (which.length === 0) return
    const hadFocus = list.current?.contains(document.activeElement) ?? false
    if (hadFocus)
      focusNext.current = Math.max(
        0,
        ids.findIndex((id) => id === which[0]),
      )
    setSelected(new Set(chosen.filter((id) => !which.includes(id))))
    decisions.decide(which, verdict)
  }
  const select = (id: number, isRange: boolean) => {
    const [from, to] = [ids.indexOf(anchor.current), ids.indexOf(id)].sort((a, b) => a - b)
    anchor.current = id
    if (isRange && from !== undefined && to !== undefined && from >= 0)
      return setSelected(new Set([...chosen, ...ids.slice(from, to + 1)]))
    setSelected(new Set(selected.has(id) ? chosen.filter((one) => one !== id) : [...chosen, id]))
  }
  const acts = useStable({ decide: (id: number, verdict: Verdict) => decide([id], verdict), select, onFocus })

  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.target instanceof HTMLButtonElement && (event.key === 'Enter' || event.key === ' ')) return
    const columns = columnsOf(list.current)
    const steps: Readonly<Record<string, number>> = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
    }
    const step = steps[event.key]
    // Caps Lock turns the letters around.
    const key = event.key.toLowerCase()
    const one = ids[place]
    const targets = chosen.length > 0 ? chosen : one === undefined ? [] : [one]
    if (step !== undefined) focusAt(place + step)
    else if ((key === 'x' || key === ' ') && one !== undefined) {
      // A press is one act, however long it lasts.
      if (!event.repeat) select(one, event.shiftKey)
    } else if (event.repeat) return
    else if (key === 'a' && event.shiftKey) setSelected(new Set(ids))
    else if (key === 'a' && rights.apiWrite) decide(targets, 'approve')
    else if (key === 'r' && !event.shiftKey && rights.apiWrite) decide(targets, 'reject')
    else if (key === 'escape') setSelected(new Set())
    else return
    event.preventDefault()
  }
  const onBlur = ({ relatedTarget }: FocusEvent) => {
    if (relatedTarget !== null && !list.current?.contains(relatedTarget)) focused.current = undefined
  }
  // From anywhere on the page an arrow leads to the photos.
  useKeys((event) => {
    const { key, target, defaultPrevented } = event
    if (!key.startsWith('Arrow') || isTyping(target) || defaultPrevented) return
    if (target instanceof Node && list.current?.contains(target)) return
    event.preventDefault()
    focusAt(place)
  })

  return (
    <section className="approval" aria-labelledby="approval-title">
      <header className="approval-head">
        <h2 id="approval-title">
          {t('approval.title')}{' '}
          <span className="approval-count">{left === undefined ? '–' : number(left)}</span>
        </h2>
        {(sessionIds.length > 1 || chosenId !== 0) && (
          <select
            value={chosenId}
            aria-label={t('approval.session')}
            onChange={({ target }) => setSessionId(Number(target.value))}
          >
            <option value={0}>{t('approval.session.all')}</option>
            {sessionIds.map((id) => (
              <option key={id} value={id}>
                {nameOf(id)}
              </option>
            ))}
          </select>
        )}
        {chosen.length > 0 && rights.apiWrite ? (
          <div
            className="approval-many"
            role="group"
            aria-label={t('approval.selected', { count: number(chosen.length) })}
          >
            <span>{t('approval.selected', { count: number(chosen.length) })}</span>
            <button type="button" className="button button-reject" onClick={() => decide(chosen, 'reject')}>
              <Icon name="cross" /> {t('approval.reject')}
            </button>
            <button type="button" className="button button-approve" onClick={() => decide(chosen, 'approve')}>
              <Icon name="check" /> {t('approval.approve')}
            </button>
            <button type="button" className="button" onClick={() => setSelected(new Set())}>
              {t('approval.select.none')}
            </button>
          </div>
        ) : (
          <p className="muted approval-hint">
            {rights.apiWrite ? (
              <>
                <span className="for-keys">{t('approval.hint')}</span>
                <span className="for-touch">{t('approval.hint.touch')}</span>
              </>
            ) : (
              t('none.write')
            )}
          </p>
        )}
        <p className="muted" role="status">
          {decisions.waiting > 0 ? t('approval.waiting', { count: number(decisions.waiting) }) : ''}
        </p>
      </header>
      {cards.length === 0 &&
        (model.isLoaded && left === 0 ? (
          <Empty icon="approval">{t('approval.empty')}</Empty>
        ) : model.isLoaded && chosenId !== 0 && !approval.sessionHasMore ? (
          <Empty icon="approval">{t('approval.empty.session')}</Empty>
        ) : (
          <Loading lines={4} />
        ))}
      <ul ref={list} className="cards" aria-label={t('approval.list')} onKeyDown={onKey} onBlur={onBlur}>
        {cards.slice(0, drawn).map((card, index) => (
          <PhotoCard
            key={card.id}
            card={card}
            sessionName={nameOf(card.session_id)}
            isSelected={selected.has(card.id)}
            isTabStop={index === place}
            refusal={refusalText(text, card, decisions.refusalOf(card.id))}
            mayDecide={rights.apiWrite}
            thumbnails={thumbnails}
            onDecide={acts.decide}
            onSelect={acts.select}
            onFocus={acts.onFocus}
          />
        ))}
      </ul>
      {cards.length > drawn && <Sentinel onNear={() => setDrawn(drawn + PAGE)} />}
    </section>
  )
}

/** Functions that are the same ones at every drawing, and do what those of the last one do. */
function useStable<T extends Record<string, (...words: never[]) => void>>(acts: T): T {
  const newest = useRef(acts)
  newest.current = acts
  return useMemo(() => {
    const entries = Object.keys(acts).map((name) => [
      name,
      (...words: never[]) => newest.current[name]?.(...words),
    ])
    // The same names with functions of the same shapes.
    return Object.fromEntries(entries) as T
  }, [])
}

function Sentinel({ onNear }: { readonly onNear: () => void }) {
  const element = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (!element.current) return
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && onNear(), {
      rootMargin: '600px',
    })
    observer.observe(element.current)
    return () => observer.disconnect()
  })
  return <div ref={element} className="sentinel" />
}

function columnsOf(list: HTMLElement | null): number {
  if (!list) return 1
  return getComputedStyle(list).gridTemplateColumns.split(' ').length
}

function refusalText({ t }: Text, { file_name: photo }: Card, refused: Refused | undefined): string {
  if (!refused) return ''
  const { code, currentStatus } = refused
  const known =
    currentStatus === 'approved' || currentStatus === 'rejected'
      ? t(`status.${currentStatus}`)
      : currentStatus
  const reason =
    code === 'conflict' && known !== undefined
      ? t('approval.refused.conflict', { status: known })
      : code === 'forbidden'
        ? t('approval.refused.forbidden')
        : t('approval.refused.other', { code })
  return t('approval.refused', { photo, reason })
}
