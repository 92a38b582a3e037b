/** Where the page begins: the token out of the address, theme and language, then the app. */
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { takeToken } from './session.ts'
import { chooseLanguage, chosenLanguage } from './text.tsx'
import { chosenTheme, showTheme } from './theme.ts'

const token = takeToken()
showTheme(chosenTheme())
const language = chosenLanguage()
chooseLanguage(language)
const root = document.getElementById('root')
if (root) createRoot(root).render(<App startToken={token} startLanguage={language} />)

// Of a secure page only; without it the app works, it is just not installable.
if ('serviceWorker' in navigator) {
  navigator.serviceWorker.register('/sw.js').catch((error: unknown) => console.warn('lightwire', error))
}
