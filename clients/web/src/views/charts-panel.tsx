/** Events per second and what the machine has in use, over the last minutes. */
import { useText } from '../text.tsx'
import { Chart } from './chart.tsx'
import { useLivePart } from './live-context.ts'
import { Panel } from './parts.tsx'

const rateLines = [{ color: '--accent', isFilled: true }] as const
const machineLines = [{ color: '--accent' }, { color: '--info' }, { color: '--muted' }] as const

export function ChartsPanel() {
  const { t, number, percent } = useText()
  const { model } = useLivePart('rates')
  const { rates } = model
  const samples = rates.samples()
  const times = samples.map(({ time }) => time)
  const { last } = rates
  const inUse = (value: number | null | undefined) =>
    value === null || value === undefined ? '–' : percent(value)
  const says = { cpu: inUse(last?.cpu), memory: inUse(last?.memory), disk: inUse(last?.disk) }
  return (
    <div className="charts">
      <Panel
        title={t('charts.rate')}
        name="rate"
        aside={<span className="chart-now">{number(rates.rate, 1)}</span>}
      >
        <Chart
          label={t('charts.rate.says', { rate: number(rates.rate, 1) })}
          lines={rateLines}
          data={[times, samples.map(({ rate }) => rate)]}
        />
      </Panel>
      <Panel
        title={t('charts.machine')}
        name="machine"
        aside={
          <ul className="legend">
            <li className="legend-cpu">
              {t('charts.cpu')} {says.cpu}
            </li>
            <li className="legend-memory">
              {t('charts.memory')} {says.memory}
            </li>
            <li className="legend-disk">
              {t('charts.disk')} {says.disk}
            </li>
          </ul>
        }
      >
        <Chart
          label={t('charts.machine.says', says)}
          lines={machineLines}
          max={100}
          data={[
            times,
            samples.map(({ cpu }) => cpu),
            samples.map(({ memory }) => memory),
            samples.map(({ disk }) => disk),
          ]}
        />
        {samples.length === 0 && <p className="muted chart-wait">{t('charts.wait')}</p>}
      </Panel>
    </div>
  )
}
