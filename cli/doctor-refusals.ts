/** What the doctor asks in order to be refused: each no must be the right one, and say what is wrong. */
import * as z from 'zod'
import type { Photo } from '../lib/domain/photos.ts'
import { ask } from './rest-client.ts'
import { openLiveSocket } from './demo-client.ts'
import { parseAs, placeOf, requireStatus } from './doctor-api.ts'
import type { Changes } from './doctor-changes.ts'
import { needRights, type Context } from './doctor-context.ts'
import { Fault, need } from './doctor-report.ts'
import { namesOf } from './doctor-shoot.ts'
import { REPLY_MS_MAX, requestReply } from './doctor-watcher.ts'

const conflictSchema = z.object({ code: z.literal('conflict'), current_status: z.literal('approved') })
const invalidSchema = z.object({
  code: z.literal('invalid_message'),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).min(1),
})

export async function checkRefusals(
  context: Context,
  changes: Changes,
  approved: Photo | undefined,
): Promise<void> {
  const { report } = context
  await report.check('conflict', async (note) => {
    const { id } = need(approved, 'no photo was approved')
    const what = 'a second approval of a photo'
    const answer = await ask(context, 'POST', `/api/approval/${id}/approve`)
    requireStatus(what, answer, 409)
    parseAs(what, answer, conflictSchema)
    note('409, approving an approved photo')
  })
  await report.check('unknown channel', async (note) => {
    const { socketUrl: url, token } = context
    const onMessage = () => undefined
    const options = {
      url,
      token,
      framing: 'json',
      name: 'refused',
      onMessage,
      replyMsMax: REPLY_MS_MAX,
    } as const
    using socket = await openLiveSocket(options)
    const { code } = await requestReply(socket, 'error', { type: 'subscribe', channels: ['no-such-channel'] })
    if (code !== 'unknown_channel') {
      throw new Fault({ expected: 'the code unknown_channel', seen: String(code), look: placeOf(500) })
    }
    await requestReply(socket, 'pong', { type: 'ping' })
    note('refused, and the socket stays')
  })
  await report.check('invalid body', async (note) => {
    needRights(context, 'apiWrite')
    const session_id = need(changes.sessionId(), 'there is no session')
    const what = 'an import whose second photo has a number as its path'
    const { folder } = namesOf(context)
    const body = [
      { session_id, file_path: `${folder}/no.jpg` },
      { session_id, file_path: 7 },
    ]
    const answer = await ask(context, 'POST', '/api/photos', body)
    requireStatus(what, answer, 400)
    const [first] = parseAs(what, answer, invalidSchema).errors
    if (first?.path !== '1.file_path') {
      throw new Fault({ expected: 'the fault at 1.file_path', seen: String(first?.path), look: placeOf(500) })
    }
    note(`400, ${first.path}: ${first.message}`)
  })
}
