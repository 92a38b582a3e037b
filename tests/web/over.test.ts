/** What goes on when it is over: a page that was closed reads nothing more, a verdict under way is not forgotten. */
import { expect, spyOn, test } from 'bun:test'
import { ApiError } from '../../clients/web/src/api.ts'
import { createDecisions } from '../../clients/web/src/decisions.ts'
import { createApproval } from '../../clients/web/src/model/approval.ts'
import { createNames } from '../../clients/web/src/model/names.ts'
import { placesOf } from '../../clients/web/src/model/slice.ts'
import { createThumbnails } from '../../clients/web/src/thumbnails.ts'
import { event, reader } from './told.ts'

const onChange = () => undefined
/** Longer than the parts wait before they read on. */
const REST_MS = 700

test('a page that was closed reads neither photos nor names any more', async () => {
  const ending = new AbortController()
  const { asked, read } = reader()
  const approval = createApproval({ read, onChange, ended: ending.signal })
  const names: number[] = []
  const name = createNames({
    async read(id) {
      names.push(id)
      return String(id)
    },
    onChange,
    ended: ending.signal,
  })
  approval.reset({ photos: [], total: 0 }, placesOf('e:jobs=0'))
  approval.apply(event('jobs', 1, 'job_completed', { job_id: 'a', photo_id: 1 }))
  name.want(1)
  name.want(2)

  ending.abort()
  asked[0]?.fail(0)
  await Bun.sleep(REST_MS)
  expect([asked.length, names]).toEqual([1, [1]])
})

test('an image that comes when the page was closed has no address', async () => {
  const made = spyOn(URL, 'createObjectURL')
  const image = Promise.withResolvers<Blob>()
  const thumbnails = createThumbnails({ blob: () => image.promise }, 320)
  const wanted = thumbnails.get(1, new AbortController().signal)

  thumbnails.close()
  image.resolve(new Blob(['image']))
  expect(await wanted).toBeNull()
  expect([made.mock.calls.length, thumbnails.peek(1)]).toEqual([0, undefined])
})

test('a verdict under way stays while its photo is not among those that were read', async () => {
  const answers: PromiseWithResolvers<{ value: unknown; cursor: string }>[] = []
  const decisions = createDecisions({
    api: {
      insist() {
        const answer = Promise.withResolvers<{ value: unknown; cursor: string }>()
        answers.push(answer)
        return answer.promise
      },
    },
    onChange,
  })
  decisions.decide([1, 2], 'approve')

  decisions.prune(() => false)
  expect([decisions.verdictOf(1), decisions.verdictOf(2)]).toEqual(['approve', 'approve'])
  answers[0]?.resolve({ value: {}, cursor: '' })
  answers[1]?.reject(new ApiError('conflict', '', 409, 'rejected'))
  await Bun.sleep(0)
  expect([decisions.waiting, decisions.refusalOf(2)?.currentStatus]).toEqual([0, 'rejected'])
  decisions.prune(() => false)
  expect([decisions.verdictOf(1), decisions.refusalOf(2)]).toEqual([undefined, undefined])
})
