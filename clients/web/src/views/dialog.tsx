/** A box over the page that takes the keyboard until it is closed, by its button or Escape. */
import { useEffect, useId, useRef, type ReactNode } from 'react'
import { useText } from '../text.tsx'

interface DialogProps {
  readonly title: string
  readonly isWide?: boolean
  readonly onClose: () => void
  readonly children: ReactNode
}

export function Dialog({ title, isWide = false, onClose, children }: DialogProps) {
  const { t } = useText()
  const id = useId()
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog
      ref={dialog}
      className={isWide ? 'dialog dialog-wide' : 'dialog'}
      aria-labelledby={id}
      onClose={onClose}
    >
      <h2 id={id}>{title}</h2>
      {children}
      <form method="dialog">
        <button type="submit" className="button">
          {t('close')}
        </button>
      </form>
    </dialog>
  )
}
