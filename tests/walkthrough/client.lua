-- A worker that can only GET and POST, as a plug-in of Lightroom can, written from PROTOCOL.md: the polling session.
--
-- Usage: client.lua URL  (Lua 5.1 with LuaSocket and dkjson; no token, so the server needs LOCAL_SCOPE). It follows the
-- jobs, develops each in five steps, fails those of priority 9, and leaves when a shoot is completed. Each line on
-- stdout is a word and JSON: "heard" what it polled, "answer" the reply to a message, "asked" the answer of another
-- call, "refused" a status other than 200, "lost" when nothing answered. An empty table is written as [].

local http = require("socket.http")
local ltn12 = require("ltn12")
local sleep = require("socket").sleep
local json = require("dkjson")

http.TIMEOUT = 10
io.stdout:setvbuf("line")

local BASE = assert(arg[1], "usage: client.lua URL")
local PAUSE_SECONDS = 0.05
local TOO_HARD = 9
local STEPS = { "decode", "demosaic", "tone", "sharpen", "write" }

local function say(word, value)
  print(word .. " " .. json.encode(value))
end

-- The answer, or nil when there was none or a refusal.
local function call(method, path, body)
  local text = body and json.encode(body)
  local received = {}
  local ok, status = http.request({
    url = BASE .. path,
    method = method,
    headers = text and { ["Content-Type"] = "application/json", ["Content-Length"] = #text },
    source = text and ltn12.source.string(text),
    sink = ltn12.sink.table(received),
  })
  if not ok then
    say("lost", { path = path, reason = status })
    return nil
  end
  local answer = json.decode(table.concat(received), 1, json.null)
  if status ~= 200 then
    say("refused", { path = path, status = status, code = answer and answer.code })
    return nil
  end
  assert(answer.success == true, path)
  return answer
end

local client_id
local epoch
local position = {} -- per channel the last seq that was covered: where a new session goes on
local waiting = {} -- jobs to claim
local job -- the one in hand
local leaving = false

-- The reply to a message; nil when none came: then it may have been acted on or not.
local function send(message)
  message.timestamp = os.time()
  local answer = call("POST", "/ws/send", { client_id = client_id, message = message })
  if not answer then return nil end
  say("answer", answer.response)
  return answer.response
end

local filters = { sessions = { type = "session_completed" } }

local function subscribe(channel)
  local where = filters[channel]
  local since = position[channel] and ("%s:%s=%d"):format(epoch, channel, position[channel])
  local reply = send({ type = "subscribe", channels = { channel }, where = where, since = since, id = channel })
  if not reply then return end
  assert(reply.type == "subscription_confirmed", reply.error)
  epoch = reply.cursor:match("^(.-):")
  position[channel] = tonumber(reply.cursor:match("[:,]" .. channel .. "=(%d+)"))
end

local on = {}

function on.connection_established(greeting)
  client_id = greeting.client_id
  send({ type = "register", client_type = "lightroom", client_name = "Lua" })
  subscribe("jobs")
  subscribe("sessions")
end

function on.job_created(event)
  waiting[#waiting + 1] = { id = event.job_id, too_hard = event.priority == TOO_HARD, step = 0 }
end

function on.session_completed() leaving = true end

-- The client's rule of §5.
local function apply(message)
  local channel = message.channel
  if (message.after or message.seq - 1) > position[channel] then
    subscribe(channel)
  elseif message.type == "batch" then
    for _, event in ipairs(message.events) do
      if event.seq > position[channel] and on[event.type] then on[event.type](event) end
    end
    position[channel] = message.upto
  elseif message.seq > position[channel] then
    position[channel] = message.seq
    if on[message.type] then on[message.type](message) end
  end
end

local function poll()
  local answer = call("GET", "/ws/poll?client_id=" .. client_id)
  for _, message in ipairs(answer and answer.messages or {}) do
    say("heard", message)
    if message.channel then
      apply(message)
    elseif on[message.type] then
      on[message.type](message)
    end
  end
end

local function report_of(step, too_hard)
  if step == 0 then return { type = "job_started", worker = "lua" } end
  if too_hard and step == 3 then return { type = "job_failed", error_message = "too hard", error_details = {} } end
  if step > #STEPS then return { type = "job_completed", result = {} } end
  return { type = "job_progress", stage = STEPS[step], progress = step / #STEPS * 100, message = "" }
end

-- One report a turn. One that got no reply is sent again; what was done after all is refused as a conflict then.
local function work()
  job = job or table.remove(waiting, 1)
  if not job then return end
  local report = report_of(job.step, job.too_hard)
  report.job_id = job.id
  local reply = send(report)
  if not reply then return end
  assert(reply.type == "published" or reply.code == "conflict", reply.error)
  job.step = job.step + 1
  if report.type == "job_failed" or report.type == "job_completed" then job = nil end
end

local begun = assert(call("POST", "/ws/handshake", { client_type = "lightroom", protocol_version = "1.0" }))
say("asked", begun)
client_id = begun.client_id
while not leaving do
  poll()
  work()
  sleep(PAUSE_SECONDS)
end
say("asked", assert(call("POST", "/ws/disconnect", { client_id = client_id })))
