/** The server's own side, for who may run it. */
import { useText } from '../text.tsx'
import { BroadcastPanel } from './broadcast-panel.tsx'
import { ClientsPanel } from './clients-panel.tsx'
import { JournalPanel } from './journal-panel.tsx'
import { useLive } from './live-context.ts'
import { NoRights } from './parts.tsx'
import { TokensPanel } from './tokens-panel.tsx'

export function OperationsView() {
  const { t } = useText()
  const { rights } = useLive()
  if (!rights.admin) return <NoRights>{t('none.operations')}</NoRights>
  return (
    <>
      <ClientsPanel />
      <div className="operations-rest">
        <JournalPanel />
        <BroadcastPanel />
        <TokensPanel />
      </div>
    </>
  )
}
