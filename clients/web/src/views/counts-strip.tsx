/** The numbers that one glance should give. */
import { useText } from '../text.tsx'
import { useLivePart } from './live-context.ts'
import { openView } from './use-view.ts'

const jobCounts = ['pending', 'processing', 'completed', 'failed'] as const

export function CountsStrip() {
  const { t, number } = useText()
  const { model } = useLivePart('counts')
  const { queue, system } = model.counts
  return (
    <section className="counts" aria-label={t('counts.label')}>
      <dl>
        {jobCounts.map((name) => (
          <div key={name} className={`count count-${name}`} data-zero={queue?.[name] === 0}>
            <dt>{t(`counts.${name}`)}</dt>
            <dd>{queue ? number(queue[name]) : '–'}</dd>
          </div>
        ))}
        <ToApprove />
        <Rate />
      </dl>
      {system !== '' && <p className="counts-system">{t('counts.system', { status: system })}</p>}
    </section>
  )
}

function ToApprove() {
  const { t, number } = useText()
  const { model, decisions } = useLivePart('approval')
  const total = decisions.left(model.approval.total)
  return (
    <div className="count count-approval" data-zero={total === 0}>
      <dt>{t('counts.approval')}</dt>
      <dd>
        <button type="button" onClick={() => openView('approval')}>
          {total === undefined ? '–' : number(total)}
        </button>
      </dd>
    </div>
  )
}

function Rate() {
  const { t, number } = useText()
  const { model } = useLivePart('rates')
  const { rate } = model.rates
  return (
    <div className="count count-rate" data-zero={rate === 0}>
      <dt>{t('counts.rate')}</dt>
      <dd>{number(rate, rate < 10 ? 1 : 0)}</dd>
    </div>
  )
}
