/** Progress, job by job: the list as the server has it, kept by the events of one channel. */
import { useSnapshot, useStatus } from '@lightwire/client/react'
import { inOrder, keepJobs, wordsOf, type JobList } from './jobs.ts'

export function Progress() {
  const status = useStatus()
  const list = useSnapshot<JobList>('/api/jobs?sort=-created_at&limit=100', ['jobs'], keepJobs)
  return (
    <main>
      <h1>
        Progress <small data-status={status}>{status}</small>
      </h1>
      <ul>
        {inOrder(list).map((job) => (
          <li key={job.id} data-state={job.status}>
            <b>Photo {job.photo_id}</b>
            <progress value={job.progress} max={100} aria-label={`Photo ${job.photo_id}`} />
            <output>{Math.round(job.progress)} %</output>
            <span>{wordsOf(job)}</span>
          </li>
        ))}
      </ul>
    </main>
  )
}
