/** What scripts of a plug-in can count on when they call the Lua client, and what it does with their errors. */
import { expect } from 'bun:test'
import { needs } from '../support/needs.ts'
import { startTestServer } from '../support/server.ts'
import { startLine } from './line.ts'
import { startScript } from './lua-script.ts'

needs('lua')('a token is asked for once by all who need it, and again after an error', async ({ lua }) => {
  await using server = await startTestServer()
  const source = `
    local LrTasks, report = import("LrTasks"), import("Report")
    local lightwire = require("lightwire")
    local calls, inside = 0, 0
    local client
    client = lightwire.connect({
      url = import("Setting")("url"),
      get_token = function()
        calls = calls + 1
        inside = inside + 1
        LrTasks.sleep(0.1)
        inside = inside - 1
        if inside > 0 then report("two at once") end
        if calls == 1 then error("the keychain is locked") end
        return import("Setting")("token")
      end,
      on_error = function(failure) report({ code = failure.code, message = failure.message }) end,
    })
    local answered = 0
    for _ = 1, 8 do
      LrTasks.startAsyncTask(function()
        local body = client:get("/api/queue")
        answered = answered + (body and 1 or 0)
        if answered == 8 then
          report({ calls = calls })
          import("Quit")()
        end
      end)
    end`
  await using script = startScript(lua, source, { url: server.url, token: server.token })
  await script.ended

  expect(script.reported).toEqual([
    { code: 'token', message: expect.stringContaining('the keychain is locked') },
    { calls: 2 },
  ])
})

needs('lua')('a handler that raises is reported, and its event counts as applied', async ({ lua }) => {
  await using server = await startTestServer()
  const source = `
    local LrTasks, report = import("LrTasks"), import("Report")
    LrTasks.startAsyncTask(function()
      local client = require("lightwire").connect({
        url = import("Setting")("url"),
        get_token = function() return import("Setting")("token") end,
        on_error = function(failure)
          report({ failure = failure.message:match("[^:]*$") })
          error("and so does this")
        end,
      })
      client:on("system_status", function(event)
        LrTasks.sleep(0.01)
        if event.status == "bad" then error("no such photo") end
        report(event.status)
      end)
      local off = client:on("*", function(event) report({ seq = event.seq }) end)
      client:subscribe({ "system" })
      for _, status in ipairs({ "good", "bad", "better" }) do
        client:publish({ type = "system_status", status = status })
      end
      while client:state().cursor:sub(-1) ~= "3" do LrTasks.sleep(0.01) end
      off()
      client:publish({ type = "system_status", status = "last" })
      while client:state().cursor:sub(-1) ~= "4" do LrTasks.sleep(0.01) end
      import("Quit")()
    end)`
  await using script = startScript(lua, source, { url: server.url, token: server.token })
  await script.ended

  const heard = ['good', { seq: 1 }, { failure: ' no such photo' }, { seq: 2 }, 'better', { seq: 3 }, 'last']
  expect(script.reported).toEqual(heard)
  expect(script.told.join()).toContain('and so does this')
})

needs('lua')(
  'an event whose handler takes its time is not given twice by a poll that begins meanwhile',
  async ({ lua }) => {
    await using server = await startTestServer()
    const source = `
    local LrTasks, report = import("LrTasks"), import("Report")
    LrTasks.startAsyncTask(function()
      local client = require("lightwire").connect({
        url = import("Setting")("url"),
        get_token = function() return import("Setting")("token") end,
      })
      local began
      client:on("*", function(event)
        report(event.seq)
        began = true
        LrTasks.sleep(event.seq == 1 and 0.6 or 0)
        if event.seq == 3 then import("Quit")() end
      end)
      client:subscribe({ "system" })
      client:publish({ type = "system_status", status = "on" })
      while not began do LrTasks.sleep(0.01) end
      client:subscribe({ "jobs" })
      client:subscribe({ "system" }, { where = { status = "on" } })
      client:publish({ type = "system_status", status = "off" })
      client:publish({ type = "system_status", status = "on" })
    end)`
    await using script = startScript(lua, source, { url: server.url, token: server.token })
    await script.ended

    expect(script.reported).toEqual([1, 3])
  },
)

needs('lua')(
  'after a break it is connected as soon as the line holds, not when something happens',
  async ({ lua }) => {
    await using server = await startTestServer()
    await using line = await startLine(() => server.url)
    const source = `
    local LrTasks, report = import("LrTasks"), import("Report")
    LrTasks.startAsyncTask(function()
      local client = require("lightwire").connect({
        url = import("Setting")("url"),
        get_token = function() return import("Setting")("token") end,
        on_status = function(status) report(status) end,
        wait = 25,
      })
      client:subscribe({ "system" })
      report("subscribed")
    end)`
    await using script = startScript(lua, source, { url: line.url, token: server.token })
    await script.until(({ reported }) => reported.includes('subscribed'))
    // Its poll is on the line.
    await line.until(3)
    line.cut()
    const since = performance.now()
    await script.until(({ reported }) => reported.filter((status) => status === 'connected').length === 2)

    expect(performance.now() - since).toBeLessThan(15_000)
  },
)

needs('lua')('no two keys are alike, and what it draws is spread evenly', async ({ lua }) => {
  const source = `
    local unique, report = require("lightwire_unique"), import("Report")
    local keys, sum = {}, 0
    for n = 1, 5000 do
      keys[unique.key()] = true
      sum = sum + unique.fraction()
    end
    local count = 0
    for key in pairs(keys) do count = count + (#key <= 64 and 1 or 0) end
    report(count)
    report(sum / 5000)`
  await using script = startScript(lua, source)
  await script.ended

  const [count, mean = 0] = script.reported as number[]
  expect(count).toBe(5000)
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.02)
})

needs('lua')(
  'over its bound the queue refuses at once; what waits in it is sent in order',
  async ({ lua }) => {
    await using server = await startTestServer()
    const source = `
    local LrTasks, report = import("LrTasks"), import("Report")
    local url = "http://127.0.0.1:9"
    local client = require("lightwire").connect({
      url = url,
      queue_max = 3,
      get_token = function() return import("Setting")("token") end,
    })
    local function publish(status)
      local seq, refused = client:publish({ type = "system_status", status = status })
      report({ status = status, seq = seq, refused = refused and refused.code })
    end
    for _, status in ipairs({ "a", "b", "c", "d" }) do LrTasks.startAsyncTask(function() publish(status) end) end
    LrTasks.startAsyncTask(function()
      LrTasks.sleep(0.2)
      report({ queued = client:state().queued })
      client.link.url = import("Setting")("url")
      local flushed = client:flush(20)
      LrTasks.sleep(0.1)
      report({ flushed = flushed })
      client:close()
      publish("e")
      import("Quit")()
    end)`
    await using script = startScript(lua, source, { url: server.url, token: server.token })
    await script.ended

    expect(script.reported).toEqual([
      { status: 'd', refused: 'queue_full' },
      { queued: 3 },
      { status: 'a', seq: 1 },
      { status: 'b', seq: 2 },
      { status: 'c', seq: 3 },
      { flushed: true },
      { status: 'e', refused: 'closed' },
    ])
  },
)

needs('lua')('the memory that it holds does not grow with what it has seen', async ({ lua }) => {
  await using server = await startTestServer()
  const batch = Array.from({ length: 1000 }, () => ({ type: 'system_status', status: 'x'.repeat(200) }))
  for (let n = 0; n < 8; n += 1) expect((await server.api('POST', '/api/events', batch)).status).toBe(201)
  const { cursor } = await server.api('GET', '/api/queue')
  const source = `
    local LrTasks, report = import("LrTasks"), import("Report")
    LrTasks.startAsyncTask(function()
      local client = require("lightwire").connect({
        url = import("Setting")("url"),
        get_token = function() return import("Setting")("token") end,
        storage = { load = function() return import("Setting")("cursor") end, save = function() end },
      })
      local seen = 0
      client:on("*", function()
        seen = seen + 1
        if seen % 2000 == 0 then report(import("Memory")()) end
        if seen == 8000 then import("Quit")() end
      end)
      client:subscribe({ "system" })
    end)`
  const from = String(cursor).replace('system=8000', 'system=0')
  await using script = startScript(lua, source, { url: server.url, token: server.token, cursor: from })
  await script.ended

  const [after2000 = 0, , , after8000 = Infinity] = script.reported as number[]
  expect(after8000).toBeLessThan(after2000 * 1.2)
})

needs('lua')('outside of a task it says so instead of standing still', async ({ lua }) => {
  const source = `
    local report = import("Report")
    local client = require("lightwire").connect({ url = "http://127.0.0.1:9" })
    report((select(2, pcall(client.subscribe, client, { "jobs" })):match("[^:]*$")))
    client:close()
    report(client:state().status)`
  await using script = startScript(lua, source)
  await script.ended

  expect(script.reported).toEqual([' this can only be called from within a task', 'closed'])
})
