/** The frame around every view: where one is, how the server is reached, what has to be said. */
import { useEffect, useRef, useState } from 'react'
import type { Language } from '../text.tsx'
import { useText, type TextKey } from '../text.tsx'
import { ApprovalView } from './approval-view.tsx'
import { Icon, Mark } from './icon.tsx'
import { KeysDialog } from './keys-dialog.tsx'
import { useLivePart } from './live-context.ts'
import { LiveView } from './live-view.tsx'
import { LinkBanner, LinkPill } from './link-status.tsx'
import { Notices } from './notices-view.tsx'
import { OperationsView } from './operations-view.tsx'
import { SettingsMenu } from './settings-menu.tsx'
import { isTyping, useKeys } from './use-keys.ts'
import { openView, useView, views, type View } from './use-view.ts'

const bodies = { live: LiveView, approval: ApprovalView, operations: OperationsView } as const

interface ShellProps {
  readonly onLanguage: (language: Language) => void
  readonly onLeave: () => void
}

export function Shell({ onLanguage, onLeave }: ShellProps) {
  const { t } = useText()
  const view = useView()
  const main = useRef<HTMLElement>(null)
  const [showsKeys, setShowsKeys] = useState(false)
  const Body = bodies[view]

  useEffect(() => {
    document.title = `${t(`nav.${view}`)} · Lightwire`
  }, [view, t])

  useKeys((event) => {
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return
    const next = views[Number(event.key) - 1]
    if (next) openView(next)
    else if (event.key === '?') setShowsKeys(true)
    else return
    event.preventDefault()
  })

  return (
    <div className="shell">
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        {t('nav.skip')}
      </button>
      <header className="top">
        <p className="wordmark">
          <Mark />
          <span>Lightwire</span>
        </p>
        <nav className="nav" aria-label={t('nav.label')}>
          {views.map((one) => (
            <NavLink key={one} view={one} isOpen={one === view} />
          ))}
        </nav>
        <LinkPill />
        <SettingsMenu onLanguage={onLanguage} onLeave={onLeave} onKeys={() => setShowsKeys(true)} />
      </header>
      <LinkBanner />
      <Notices />
      <main ref={main} tabIndex={-1} className={`main main-${view}`}>
        <h1 className="hidden">{t(`nav.${view}`)}</h1>
        <Body />
      </main>
      {showsKeys && <KeysDialog onClose={() => setShowsKeys(false)} />}
    </div>
  )
}

function NavLink({ view, isOpen }: { readonly view: View; readonly isOpen: boolean }) {
  const { t } = useText()
  return (
    <a href={`#${view}`} className="nav-link" {...(isOpen ? { 'aria-current': 'page' as const } : {})}>
      <Icon name={view} />
      <span>{t(`nav.${view}` satisfies TextKey)}</span>
      {view === 'approval' && <ApprovalBadge />}
      {view === 'live' && <AttentionBadge />}
    </a>
  )
}

function ApprovalBadge() {
  const { number } = useText()
  const { model, decisions } = useLivePart('approval')
  const total = decisions.left(model.approval.total) ?? 0
  return total > 0 ? <span className="badge">{number(total)}</span> : null
}

function AttentionBadge() {
  const { number } = useText()
  const { count } = useLivePart('alerts').model.alerts
  return count > 0 ? <span className="badge badge-bad">{number(count)}</span> : null
}
