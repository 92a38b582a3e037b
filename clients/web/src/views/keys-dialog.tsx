/** The list of keys. */
import { useText, type TextKey } from '../text.tsx'
import { Dialog } from './dialog.tsx'

const keys: readonly (readonly [string, TextKey])[] = [
  ['1 · 2 · 3', 'keys.views'],
  ['← → ↑ ↓', 'keys.move'],
  ['A', 'keys.approve'],
  ['R', 'keys.reject'],
  ['X', 'keys.select'],
  ['Shift + A', 'keys.all'],
  ['Esc', 'keys.none'],
  ['/', 'keys.find'],
  ['?', 'keys.help'],
]

export function KeysDialog({ onClose }: { readonly onClose: () => void }) {
  const { t } = useText()
  return (
    <Dialog title={t('keys.title')} onClose={onClose}>
      <dl className="keys">
        {keys.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{t(what)}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
