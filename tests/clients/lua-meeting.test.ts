/** What a review found in the Lua client: answers of strangers, and calls that meet each other. */
import { expect, setDefaultTimeout } from 'bun:test'
import { startMeddler } from '../support/meddler.ts'
import { needs } from '../support/needs.ts'
import { startTestServer } from '../support/server.ts'
import { startDriver } from './driver.ts'
import { startScript } from './lua-script.ts'
import { players } from './players.ts'

setDefaultTimeout(60_000)

for (const status of [404, 408, 500, 501]) {
  needs('lua')(`a stranger's ${status} in JSON to a poll does not close it`, async () => {
    await using server = await startTestServer()
    let spoilt = false
    await using meddler = startMeddler(server.url, {
      answer({ path }, reply) {
        if (spoilt || path !== '/api/events' || !reply.text.includes('"seq":1')) return reply
        spoilt = true
        return { status, text: '{"message":"Internal server error"}', headers: new Headers() }
      },
    })
    await using driver = startDriver(players.lua.words)
    await driver.tell({ do: 'connect', url: meddler.url, token: server.token })
    await driver.tell({ do: 'subscribe', channels: ['system'] })
    await server.api('POST', '/api/system/status', { status: 'on' })
    await driver.until('the event', () => driver.events.length > 0)

    expect(spoilt).toBe(true)
    expect(driver.reports.filter((report) => 'status' in report && report.status === 'closed')).toEqual([])
  })
}

for (const status of [408, 500]) {
  needs('lua')(`a change that a stranger answers with ${status} is sent again as the same one`, async () => {
    await using server = await startTestServer()
    let spoilt = 0
    await using meddler = startMeddler(server.url, {
      answer({ method }, reply) {
        if (method !== 'POST' || spoilt > 0) return reply
        spoilt += 1
        return { status, text: '{"message":"upstream reset"}', headers: new Headers() }
      },
    })
    await using driver = startDriver(players.lua.words)
    await driver.tell({ do: 'connect', url: meddler.url, token: server.token })
    const seq = await driver.tell({ do: 'publish', event: { type: 'system_status', status: 'on' } })

    const { body } = await server.api<{ events: object[] }>('GET', '/api/events?channels=system')
    expect([seq, spoilt, body.events.length]).toEqual([1, 1, 1])
  })
}

const opening = `
  local LrTasks, report = import("LrTasks"), import("Report")
  local client = require("lightwire").connect({
    url = import("Setting")("url"),
    get_token = function() return import("Setting")("token") end,
  })
  local function say(status) return client:request("POST", "/api/system/status", { status = status }) end
  local function until_at(seq)
    while not (client:state().cursor or ""):find("system=" .. seq, 1, true) do LrTasks.sleep(0.01) end
  end`

needs('lua')('a handler that is there twice is taken away once', async ({ lua }) => {
  await using server = await startTestServer()
  const source = `${opening}
    LrTasks.startAsyncTask(function()
      local function handler(event) report(event.seq) end
      local off = client:on("system_status", handler)
      client:on("system_status", handler)
      client:subscribe({ "system" })
      say("on")
      until_at(1)
      off()
      off()
      say("off")
      until_at(2)
      import("Quit")()
    end)`
  await using script = startScript(lua, source, { url: server.url, token: server.token })
  await script.ended

  expect(script.reported).toEqual([1, 1, 2])
})

for (const call of [
  'subscribe({ "jobs", "system" })',
  'snapshot_then_follow("/api/queue", { "jobs", "system" })',
]) {
  needs('lua')(`what is unsubscribed while ${call} is under way is not followed`, async ({ lua }) => {
    await using server = await startTestServer()
    const source = `${opening}
      LrTasks.startAsyncTask(function()
        client:ready()
        local began, done
        LrTasks.startAsyncTask(function()
          began = true
          report({ followed = client:${call} })
          done = true
        end)
        while not began do LrTasks.sleep(0) end
        client:unsubscribe({ "system" })
        while not done do LrTasks.sleep(0.01) end
        report({ channels = client:state().channels, cursor = client:state().cursor:find("system") })
        import("Quit")()
      end)`
    await using script = startScript(lua, source, { url: server.url, token: server.token })
    await script.ended

    expect(script.reported).toEqual([{ followed: ['jobs'] }, { channels: ['jobs'] }])
  })
}

for (const outcome of ['given', 'refused'] as const) {
  needs('lua')(`what happens while a snapshot is read comes once, when it is ${outcome}`, async ({ lua }) => {
    await using server = await startTestServer()
    const source = `${opening}
      LrTasks.startAsyncTask(function()
        client:on("*", function(event) report(event.seq) end)
        client:subscribe({ "system" }, { where = { status = { ["in"] = { "one", "two", "three" } } } })
        say("one")
        until_at(1)
        local function fetch()
          local state, cursor = client:get("/api/queue")
          say("two")
          LrTasks.sleep(0.3)
          if import("Setting")("outcome") == "refused" then return nil, { code = "not_found" } end
          return state, cursor
        end
        client:snapshot_then_follow(fetch, { "system" }, function() report("snapshot") end)
        until_at(2)
        say("other")
        say("three")
        until_at(4)
        import("Quit")()
      end)`
    await using script = startScript(lua, source, { url: server.url, token: server.token, outcome })
    await script.ended

    expect(script.reported).toEqual(outcome === 'given' ? [1, 'snapshot', 2, 3, 4] : [1, 2, 4])
  })
}

needs('lua')(
  'of a snapshot that is read again, channels that are followed otherwise go on',
  async ({ lua }) => {
    await using server = await startTestServer()
    let gone = false
    await using meddler = startMeddler(server.url, {
      answer({ path }, reply) {
        // Not a poll of before `subscribe`, whose answer is of no use.
        if (gone || path !== '/api/events' || !/job_created.*"cursor":"\w+:jobs=1"/.test(reply.text))
          return reply
        gone = true
        const headers = new Headers({
          'Lightwire-Cursor': (JSON.parse(reply.text) as { cursor: string }).cursor,
        })
        const recovery = { jobs: { status: 'snapshot_required', reason: 'trimmed' } }
        return { status: 410, text: JSON.stringify({ code: 'cursor_gone', recovery }), headers }
      },
    })
    const source = `${opening}
    LrTasks.startAsyncTask(function()
      client:on("system_status", function(event) report(event.status) end)
      client:snapshot_then_follow("/api/queue", { "jobs", "system" }, function() report("snapshot") end)
      client:subscribe({ "system" }, { where = { status = { exists = true } } })
      local shoot = client:request("POST", "/api/sessions", { name = "shoot", import_folder = "/shoot" })
      local photo = client:request("POST", "/api/photos", { session_id = shoot.id, file_path = "/shoot/1.raw" })
      client:request("POST", "/api/jobs", { photo_id = photo.id })
      LrTasks.sleep(0.5)
      say("on")
      until_at(1)
      import("Quit")()
    end)`
    await using script = startScript(lua, source, { url: meddler.url, token: server.token })
    await script.ended

    expect(gone).toBe(true)
    expect(script.reported).toEqual(['snapshot', 'snapshot', 'on'])
  },
)

needs('lua')('close stores what was handled, and nothing is stored after it', async ({ lua }) => {
  await using server = await startTestServer()
  const source = `
    local LrTasks, report = import("LrTasks"), import("Report")
    LrTasks.startAsyncTask(function()
      local client = require("lightwire").connect({
        url = import("Setting")("url"),
        get_token = function() return import("Setting")("token") end,
        storage = { load = function() end, save = function(text) report(text:match("system=%d")) end },
      })
      local busy
      client:on("system_status", function(event)
        if event.seq < 2 then return end
        busy = true
        LrTasks.sleep(0.2)
      end)
      client:subscribe({ "system" })
      client:publish(require("lightwire").array({
        { type = "system_status", status = "on" }, { type = "system_status", status = "off" },
      }))
      while not busy do LrTasks.sleep(0.01) end
      client:close()
      LrTasks.sleep(0.5)
      import("Quit")()
    end)`
  await using script = startScript(lua, source, { url: server.url, token: server.token })
  await script.ended

  expect(script.reported).toEqual(['system=0', 'system=1'])
})
