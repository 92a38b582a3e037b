/** Words in the user's language: a table per language, numbers and times as it writes them. */
import { createContext, useContext, type ReactNode } from 'react'
import { english, type TextKey } from './text-en.ts'
import { japanese } from './text-ja.ts'

export type { TextKey } from './text-en.ts'
export type Language = 'en' | 'ja'
export type Values = Readonly<Record<string, string | number>>

const tables = { en: english, ja: japanese } as const
const CHOSEN = 'lightwire-language'

export function chosenLanguage(): Language {
  const chosen = localStorage.getItem(CHOSEN) ?? navigator.language
  return chosen.startsWith('ja') ? 'ja' : 'en'
}

export function chooseLanguage(language: Language): void {
  localStorage.setItem(CHOSEN, language)
  document.documentElement.lang = language
}

export interface Text {
  readonly language: Language
  /** The words of a key; {names} in them are filled from `values`. */
  t(key: TextKey, values?: Values): string
  /** The same, with what was filled in as `strong`. */
  rich(key: TextKey, values: Values): ReactNode
  number(value: number, digits?: number): string
  /** With one digit after the point, always. */
  score(value: number): string
  percent(value: number): string
  time(time: string | number): string
  /** With its day, for what is not of today. */
  moment(time: string): string
  /** The time, with its day where that is not today. */
  when(time: string): string
  duration(ms: number): string
  bytes(bytes: number): string
}

export function createText(language: Language): Text {
  const table: Readonly<Record<TextKey, string>> = tables[language]
  const clock = new Intl.DateTimeFormat(language, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  })
  const day = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short', hour12: false })
  const numbers = [0, 1].map((digits) => new Intl.NumberFormat(language, { maximumFractionDigits: digits }))
  const scores = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 })
  const time = (at: string | number) => clock.format(new Date(at))
  const moment = (at: string) => day.format(new Date(at))
  const number = (value: number, digits = 0) => numbers[digits]?.format(value) ?? String(value)
  return {
    language,
    number,
    score: (value) => scores.format(value),
    t: (key, values = {}) =>
      table[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? '')),
    rich: (key, values) =>
      table[key].split(/\{(\w+)\}/).map((part, index) =>
        // Of a split by one group every second part is a name.
        index % 2 === 0 ? part : <strong key={index}>{values[part] ?? ''}</strong>,
      ),
    percent: (value) => `${number(value, value < 10 ? 1 : 0)} %`,
    time,
    moment,
    when: (at) => (new Date(at).toDateString() === new Date().toDateString() ? time(at) : moment(at)),
    duration(ms) {
      const seconds = Math.max(1, Math.round(ms / 1000))
      if (seconds < 60) return language === 'ja' ? `${seconds}秒` : `${seconds} s`
      const minutes = Math.round(seconds / 60)
      if (minutes < 60) return language === 'ja' ? `${minutes}分` : `${minutes} min`
      return language === 'ja' ? `${number(minutes / 60, 1)}時間` : `${number(minutes / 60, 1)} h`
    },
    bytes(bytes) {
      if (bytes < 1000) return `${bytes} B`
      return bytes < 1_000_000 ? `${number(bytes / 1000, 1)} kB` : `${number(bytes / 1_000_000, 1)} MB`
    },
  }
}

const TextContext = createContext<Text>(createText('en'))
export const TextProvider = TextContext.Provider
export const useText = () => useContext(TextContext)
