/** Theme, language, keys, and the way out. */
import { useEffect, useRef, useState } from 'react'
import { useText, type Language } from '../text.tsx'
import { chooseTheme, chosenTheme, type Theme } from '../theme.ts'
import { Icon } from './icon.tsx'
import { useLive } from './live-context.ts'
import { useKeys } from './use-keys.ts'

const themes = ['system', 'light', 'dark'] as const satisfies readonly Theme[]
const languages = [
  ['en', 'English'],
  ['ja', '日本語'],
] as const satisfies readonly (readonly [Language, string])[]

interface SettingsProps {
  readonly onLanguage: (language: Language) => void
  readonly onLeave: () => void
  readonly onKeys: () => void
}

export function SettingsMenu({ onLanguage, onLeave, onKeys }: SettingsProps) {
  const { t, language } = useText()
  const { rights } = useLive()
  const [isOpen, setOpen] = useState(false)
  const [theme, setTheme] = useState(chosenTheme)
  const box = useRef<HTMLDivElement>(null)
  const opener = useRef<HTMLButtonElement>(null)

  useEffect(() => {
    if (!isOpen) return
    const onPointer = ({ target }: PointerEvent) => {
      if (target instanceof Node && !box.current?.contains(target)) setOpen(false)
    }
    addEventListener('pointerdown', onPointer)
    return () => removeEventListener('pointerdown', onPointer)
  }, [isOpen])
  useKeys(({ key }) => {
    if (!isOpen || key !== 'Escape') return
    setOpen(false)
    opener.current?.focus()
  })

  return (
    <div className="settings" ref={box}>
      <button
        ref={opener}
        type="button"
        className="button-icon"
        aria-label={t('settings.open')}
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        <Icon name="settings" />
      </button>
      {isOpen && (
        <div className="settings-box">
          <fieldset>
            <legend>{t('settings.theme')}</legend>
            <div className="choice">
              {themes.map((one) => (
                <label key={one}>
                  <input
                    type="radio"
                    name="theme"
                    checked={one === theme}
                    onChange={() => {
                      chooseTheme(one)
                      setTheme(one)
                    }}
                  />
                  <span>{t(`settings.theme.${one}`)}</span>
                </label>
              ))}
            </div>
          </fieldset>
          <fieldset>
            <legend>{t('settings.language')}</legend>
            <div className="choice">
              {languages.map(([one, name]) => (
                <label key={one}>
                  <input
                    type="radio"
                    name="language"
                    checked={one === language}
                    onChange={() => onLanguage(one)}
                  />
                  <span lang={one}>{name}</span>
                </label>
              ))}
            </div>
          </fieldset>
          <button
            type="button"
            className="button"
            onClick={() => {
              setOpen(false)
              onKeys()
            }}
          >
            {t('settings.keys')}
          </button>
          <p className="muted settings-subject">
            {rights.subject === ''
              ? t('settings.open-server')
              : t('settings.subject', { subject: rights.subject })}
          </p>
          {rights.subject !== '' && (
            <button type="button" className="button" onClick={onLeave}>
              {t('settings.leave')}
            </button>
          )}
        </div>
      )}
    </div>
  )
}
