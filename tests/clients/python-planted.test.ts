/** The Python client's own tests are themselves tested: each fault planted in it fails them. */
import { expect, setDefaultTimeout } from 'bun:test'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { plant } from '../support/planted.ts'
import { projectRoot } from '../support/process.ts'

setDefaultTimeout(120_000)

const folder = 'clients/python'

/** What is said of the client, the file, what stands there, and what is put in its place. */
const faults: readonly (readonly [name: string, file: string, find: string, replace: string])[] = [
  ['a gap is passed over', '_following.py', 'if after > position:', 'if False:'],
  [
    'an event is applied twice',
    '_following.py',
    'event["seq"] > place.position[1]',
    'event["seq"] >= position',
  ],
  [
    'a batch moves nothing beyond its events',
    '_following.py',
    'place.position[1] < message["upto"]',
    'False',
  ],
  ['a lost position is not told', '_following.py', 'lost.append(channel)', 'pass'],
  [
    'a pong hides a loss',
    '_following.py',
    'if place.batched:\n                place',
    'if True:\n                place',
  ],
  ['what an earlier life followed is forgotten', '_following.py', '{**self.stored, **known}', 'known'],
  ['a snapshot needs no cursor', '_snapshot.py', 'snapshot.require(self.channels)', 'pass'],
  ['what is dropped is waited for', '_stream.py', 'if name not in dropped', 'if True'],
  ['events come before their snapshot', '_snapshot.py', 'self._options, held=True', 'self._options'],
  ['a refused change ends what was followed', '_following.py', 'if before is None:', 'if True:'],
  ['one that is refused takes the others along', '_stream.py', 'split and len(ask.places) > 1', 'False'],
  ['delays do not grow', '_backoff.py', 'self._tries + 1', 'self._tries'],
  ['it comes back after a final close', '_errors.py', '4500 <= code <= 4999', 'False'],
  ['each who needs a token asks', '_tokens.py', 'self._asking is None or self._asking.done()', 'True'],
  ['the outbox has no bound', '_outbox.py', 'len(self._entries) >= self._size', 'False'],
  ['a frame may inflate without end', '_codec.py', 'frame[1:], FRAME_BYTES_MAX', 'frame[1:]'],
  [
    'half a message of a cut poll counts',
    '_polling.py',
    'except ValueError:\n            break',
    'except ValueError:\n            message, at = {}, len(text)',
  ],
  ['the queue to the GUI has no bound', 'qt.py', 'len(self._items) < self._size', 'True'],
]

needs('pyqt', 'python')('each planted fault fails the tests', async ({ pyqt }) => {
  const unseen: string[] = []
  for (const [name, file, find, replace] of faults) {
    using copy = plant([])
    cpSync(join(projectRoot, folder), join(copy.root, folder), { recursive: true })
    copy.patch({ file: `${folder}/lightwire/${file}`, find, replace })
    const child = Bun.spawn([pyqt, '-m', 'unittest', 'discover', '-f', '-s', 'tests', '-t', '.'], {
      cwd: join(copy.root, folder),
      env: { PATH: process.env['PATH'] ?? '', PYTHONDONTWRITEBYTECODE: '1' },
      stdout: 'ignore',
      stderr: 'ignore',
    })
    if ((await child.exited) === 0) unseen.push(name)
  }

  expect(unseen).toEqual([])
})
