/** Light or dark: what was chosen here, else what the device says. */

export type Theme = 'system' | 'light' | 'dark'

const CHOSEN = 'lightwire-theme'

export function chosenTheme(): Theme {
  const chosen = localStorage.getItem(CHOSEN)
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system'
}

export function chooseTheme(theme: Theme): void {
  localStorage.setItem(CHOSEN, theme)
  showTheme(theme)
}

export function showTheme(theme: Theme): void {
  const { dataset } = document.documentElement
  if (theme === 'system') delete dataset['theme']
  else dataset['theme'] = theme
}

/** Calls when the page turns from light to dark or back. Returns what ends it. */
export function watchTheme(act: () => void): () => void {
  const media = matchMedia('(prefers-color-scheme: dark)')
  const observer = new MutationObserver(act)
  media.addEventListener('change', act)
  observer.observe(document.documentElement, { attributeFilter: ['data-theme'] })
  return () => {
    media.removeEventListener('change', act)
    observer.disconnect()
  }
}
