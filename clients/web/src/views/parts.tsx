/** Small pieces that every view is made of. */
import type { ReactNode } from 'react'
import { useText } from '../text.tsx'
import { Icon, type IconName } from './icon.tsx'

interface PanelProps {
  readonly title: string
  readonly name: string
  readonly aside?: ReactNode
  readonly children: ReactNode
}

export function Panel({ title, name, aside, children }: PanelProps) {
  const id = `panel-${name}`
  return (
    <section className={`panel panel-${name}`} aria-labelledby={id}>
      <header className="panel-head">
        <h2 id={id}>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  )
}

export function Empty({ icon, children }: { readonly icon: IconName; readonly children: ReactNode }) {
  return (
    <div className="empty">
      <Icon name={icon} />
      <p>{children}</p>
    </div>
  )
}

/** Grey lines where something will be. */
export function Loading({ lines = 3 }: { readonly lines?: number }) {
  const { t } = useText()
  return (
    <div className="loading" role="status">
      <span className="hidden">{t('loading')}</span>
      {Array.from({ length: lines }, (_, index) => (
        <span key={index} className="loading-line" aria-hidden="true" />
      ))}
    </div>
  )
}

interface BarProps {
  /** 0 to 100. */
  readonly value: number
  readonly label: string
  readonly isDone?: boolean
}

export function Bar({ value, label, isDone = false }: BarProps) {
  const part = Math.min(100, Math.max(0, value))
  return (
    <div
      className={isDone ? 'bar bar-done' : 'bar'}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(part)}
    >
      <span style={{ transform: `scaleX(${part / 100})` }} />
    </div>
  )
}

export function NoRights({ children }: { readonly children: ReactNode }) {
  const { t } = useText()
  return (
    <div className="no-rights">
      <Icon name="lock" />
      <h2>{t('none.title')}</h2>
      <p>{children}</p>
    </div>
  )
}
