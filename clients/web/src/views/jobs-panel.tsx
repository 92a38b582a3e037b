/** Jobs by stage: which photo, on which worker, how far, how long still. */
import { memo, useEffect } from 'react'
import { timeLeft, type JobRow } from '../model/jobs.ts'
import { useText } from '../text.tsx'
import { useLivePart } from './live-context.ts'
import { Bar, Empty, Loading, Panel } from './parts.tsx'
import { photoName } from './photo-name.ts'

/** Drawn of all stages together; more than that nobody reads. */
const SHOWN = 24
const NEXT_SHOWN = 4
const OVER_SHOWN = 4

export function JobsPanel() {
  const text = useText()
  const { t, number } = text
  const { model, rights } = useLivePart('jobs')
  useLivePart('names')
  const processing = model.jobs.processing()
  const pending = model.jobs.pending()
  const over = model.jobs.over()
  const shown = processing.slice(0, SHOWN)
  const wanted = [...shown, ...pending.slice(0, NEXT_SHOWN), ...over.slice(0, OVER_SHOWN)]
  useEffect(() => {
    for (const { photoId } of wanted) if (photoId !== null) model.names.want(photoId)
  })
  // In the order that jobs go through them, which only their progress tells.
  const stages = [...Map.groupBy(shown, ({ stage }) => stage)].sort(([, a], [, b]) => meanOf(a) - meanOf(b))
  const name = ({ photoId, id }: JobRow) => photoName(model, text, photoId, id)
  const isEmpty = model.isLoaded && wanted.length === 0
  return (
    <Panel title={t('jobs.title')} name="jobs">
      {!model.isLoaded && <Loading lines={5} />}
      {isEmpty && (
        <Empty icon="operations">
          {rights.channels.includes('jobs')
            ? t(rights.apiRead ? 'jobs.empty' : 'jobs.unread')
            : t('none.channel', { channel: 'jobs' })}
        </Empty>
      )}
      {stages.map(([stage, rows]) => (
        <section key={stage} className="stage" aria-label={stage || t('jobs.stage.none')}>
          <h3>
            {stage || t('jobs.stage.none')}{' '}
            <span className="stage-count">{number(countIn(processing, stage))}</span>
          </h3>
          <ul className="jobs">
            {rows.map((row) => (
              <Working key={row.id} row={row} photo={name(row)} />
            ))}
          </ul>
        </section>
      ))}
      {processing.length > SHOWN && (
        <p className="muted jobs-more">{t('jobs.more', { count: number(processing.length - SHOWN) })}</p>
      )}
      <div className="jobs-around">
        <Around title={t('jobs.pending')} rows={pending.slice(0, NEXT_SHOWN)} name={name} />
        <Around title={t('jobs.over')} rows={over.slice(0, OVER_SHOWN)} name={name} />
      </div>
    </Panel>
  )
}

function meanOf(rows: readonly JobRow[]): number {
  return rows.reduce((sum, { progress }) => sum + progress, 0) / rows.length
}

function countIn(rows: readonly JobRow[], stage: string): number {
  return rows.reduce((sum, row) => sum + Number(row.stage === stage), 0)
}

const Working = memo(function Working({ row, photo }: { readonly row: JobRow; readonly photo: string }) {
  const { t, percent, duration } = useText()
  const left = timeLeft(row)
  return (
    <li className="job">
      <span className="job-photo" title={row.message === '' ? photo : `${photo}: ${row.message}`}>
        {photo}
      </span>
      <span className="job-worker" title={row.worker}>
        {row.worker}
      </span>
      <Bar value={row.progress} label={t('jobs.progress', { photo })} />
      <span className="job-percent">{percent(Math.floor(row.progress))}</span>
      <span className="job-left">{left === undefined ? '' : t('jobs.left', { time: duration(left) })}</span>
    </li>
  )
})

interface AroundProps {
  readonly title: string
  readonly rows: readonly JobRow[]
  readonly name: (row: JobRow) => string
}

function Around({ title, rows, name }: AroundProps) {
  const { t } = useText()
  if (rows.length === 0) return null
  return (
    <section className="around" aria-label={title}>
      <h3>{title}</h3>
      <ul>
        {rows.map((row) => {
          const { id, status, priority, message } = row
          return (
            <li key={id} title={message}>
              <span className="around-photo">{name(row)}</span>
              <span className={`around-status around-${status}`}>
                {status === 'pending' || status === 'processing'
                  ? t('jobs.priority', { priority })
                  : t(`jobs.status.${status}`)}
              </span>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
