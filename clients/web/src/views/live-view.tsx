/** The shoot as it happens. */
import { useText } from '../text.tsx'
import { AttentionPanel } from './attention-panel.tsx'
import { ChartsPanel } from './charts-panel.tsx'
import { CountsStrip } from './counts-strip.tsx'
import { FeedPanel } from './feed-panel.tsx'
import { JobsPanel } from './jobs-panel.tsx'
import { useLive } from './live-context.ts'
import { NoRights } from './parts.tsx'
import { SessionsPanel } from './sessions-panel.tsx'
import { useIsPhone } from './use-is-phone.ts'

export function LiveView() {
  const { t } = useText()
  const { rights } = useLive()
  // On a small screen what needs attention comes first, not after everything that does not.
  const isPhone = useIsPhone()
  if (rights.channels.length === 0) return <NoRights>{t('none.live')}</NoRights>
  return (
    <>
      <CountsStrip />
      {isPhone && <AttentionPanel />}
      <div className="live-work">
        <SessionsPanel />
        <ChartsPanel />
        <JobsPanel />
      </div>
      <div className="live-side">
        {!isPhone && <AttentionPanel />}
        <FeedPanel />
      </div>
    </>
  )
}
