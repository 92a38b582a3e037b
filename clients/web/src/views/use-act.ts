/** Does something on the server, once at a time, and says when that did not work. */
import { useState } from 'react'
import { ApiError } from '../api.ts'
import { useText } from '../text.tsx'
import { useLive } from './live-context.ts'

export function useAct(): { isBusy: boolean; act: (work: () => Promise<void>) => void } {
  const { t } = useText()
  const { notices } = useLive()
  const [isBusy, setBusy] = useState(false)
  return {
    isBusy,
    act(work) {
      if (isBusy) return
      setBusy(true)
      work()
        .catch((error: unknown) => {
          const reason = error instanceof ApiError ? `${error.code}: ${error.message}` : String(error)
          notices.add('failed', t('failed', { reason }))
        })
        .finally(() => setBusy(false))
    },
  }
}
