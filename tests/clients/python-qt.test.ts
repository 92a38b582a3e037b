/** The bridge to Qt: what it tells a GUI that is busy, and how it leaves. */
import { expect, setDefaultTimeout } from 'bun:test'
import { join } from 'node:path'
import { needs } from '../support/needs.ts'
import { projectRoot } from '../support/process.ts'
import { startTestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const cwd = join(projectRoot, 'clients', 'python')
const EVENTS = 3000

async function run(python: string, script: string, ...words: readonly string[]) {
  const child = Bun.spawn([python, '-c', script, ...words], {
    cwd,
    env: { PATH: process.env['PATH'] ?? '', QT_QPA_PLATFORM: 'offscreen', PYTHONDONTWRITEBYTECODE: '1' },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()])
  expect(err).toBe('')
  expect(await child.exited).toBe(0)
  return JSON.parse(out) as unknown
}

const begin = `
import json, sys, threading, time
from PyQt6.QtCore import QCoreApplication, QThread, QTimer
from lightwire import Client
from lightwire.qt import Bridge

async def get_token():
    return sys.argv[2]

application = QCoreApplication([])
bridge = Bridge(lambda: Client(sys.argv[1], get_token), waiting_max=20)
`

const busy = `${begin}
wanted, seqs, most, here = int(sys.argv[3]), [], 0, set()

def heard(event):
    global most
    seqs.append(event["seq"])
    most = max(most, len(bridge._box._items))
    here.add(QThread.currentThread() is application.thread())
    if len(seqs) == 1:
        time.sleep(1)  # The GUI has something else to do; events come meanwhile.
    if len(seqs) == wanted:
        bridge.call("GET", "/api/sessions", done=lambda answer: application.exit(0))

bridge.event_received.connect(heard)
bridge.start()

def publish(channels):
    for _ in range(wanted // 1000):
        bridge.call("POST", "/api/events", [{"type": "system_status", "status": "busy"}] * 1000)

bridge.run(lambda client: client.subscribe(["system"]), done=publish)
application.exec()
bridge.stop()
print(json.dumps({"inOrder": seqs == sorted(set(seqs)), "most": most, "here": list(here)}))
`

needs('pyqt')(
  'a GUI that is busy gets every event, in its thread, and little waits for it',
  async ({ pyqt }) => {
    await using server = await startTestServer()
    await server.api('POST', '/api/system/status', { status: 'on' })

    const told = await run(pyqt, busy, server.url, server.token, String(EVENTS))

    expect(told).toEqual({ inOrder: true, most: expect.any(Number), here: [true] })
    expect((told as { most: number }).most).toBeLessThanOrEqual(20)
  },
)

const leaving = `${begin}
told = []
bridge.failed.connect(lambda error: told.append(error.code))
bridge.start()
bridge.run(lambda client: client.subscribe(["system"]), done=lambda channels: bridge.call(
    "POST", "/api/events", [{"type": "system_status", "status": str(n)} for n in range(1000)],
    done=lambda answer: stuck(),
))

def stuck():
    # Nothing is taken any more, so the client's thread stands before a full box.
    while len(bridge._box._items) < 20:
        time.sleep(0.001)
    began = time.monotonic()
    bridge.stop()
    told.append(["quick", time.monotonic() - began < 4])
    told.append(["alive", bridge._thread.is_alive()])
    bridge.event_received.connect(lambda event: told.append("late"))
    bridge.call("GET", "/api/sessions")
    QTimer.singleShot(100, application.quit)

application.exec()
bridge.stop()
print(json.dumps(told))
`

needs('pyqt')(
  'it leaves at once even when nobody takes what it has, and says nothing after',
  async ({ pyqt }) => {
    await using server = await startTestServer()

    const told = await run(pyqt, leaving, server.url, server.token)

    expect(told).toEqual([['quick', true], ['alive', false], 'closed'])
  },
)

const misused = `${begin}
told = []
other = Bridge(lambda: Client("http://127.0.0.1:1"))
broken = Bridge(lambda: 1 / 0)
broken.failed.connect(lambda error: (told.append(type(error).__name__), application.quit()))
bridge.call("GET", "/api/sessions", failed=lambda error: told.append(error.code))
broken.start()
application.exec()
other.start()
other.stop()
print(json.dumps(sorted(told)))
`

needs('pyqt')('what cannot work is said: no client, a call before the start', async ({ pyqt }) => {
  expect(await run(pyqt, misused, '', '')).toEqual(['ZeroDivisionError', 'closed'])
})
