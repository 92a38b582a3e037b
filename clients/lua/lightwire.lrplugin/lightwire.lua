-- A Lightwire client for plug-ins of Lightroom Classic (Lua 5.1, LrHttp): follows events by long-poll, each applied
-- once and in order whatever happens to line, server or Lightroom, and sends changes that happen once.
--
-- Whatever waits for the server is called in a task of LrTasks. What can fail gives nil and an error {code, message}.

local LrDate = import("LrDate")
local LrLogger = import("LrLogger")
local LrTasks = import("LrTasks")
local channels = require("lightwire_channels")
local json = require("lightwire_json")
local link = require("lightwire_link")
local outbox = require("lightwire_outbox")
local positions = require("lightwire_positions")
local unique = require("lightwire_unique")

local WAIT_SECONDS = 25
local TIMEOUT_SECONDS = 10
local QUEUE_ENTRIES_MAX = 1000
local QUEUE_BYTES_MAX = 4194304

local lightwire = { null = json.null, array = json.array }

local Client = {}
Client.__index = Client

-- A handler's error is reported, and breaks nothing.
local function call(self, handler, ...)
  if not handler then return end
  local protected = LrTasks.canYield() and LrTasks.pcall or pcall
  local ok, raised = protected(handler, ...)
  if ok then return end
  if handler == self.options.on_error then return self.log:error("on_error: " .. tostring(raised)) end
  self:report({ code = "handler", message = tostring(raised) })
end

function Client:report(failure)
  if self.options.on_error then return call(self, self.options.on_error, failure) end
  self.log:error(("%s: %s"):format(tostring(failure.code), tostring(failure.message)))
end

local function deliver(self, event)
  for _, name in ipairs({ event.type, "*" }) do
    for _, entry in ipairs(self.handlers[name] or {}) do call(self, entry.handler, event) end
  end
end

-- Follows the channels: from where they are (in the storage too), else from now. options: where. The channels followed.
function Client:subscribe(names, options) return self.channels:subscribe(names, options and options.where) end

function Client:unsubscribe(names) return self.channels:unsubscribe(names) end

-- Reads the state and follows it without a seam, again whenever the position is lost. source: the path of a GET, or a
-- function(client) that gives the state and its cursor. options: where. The channels followed.
function Client:snapshot_then_follow(source, names, on_snapshot, options)
  local fetch = function()
    if type(source) == "function" then return source(self) end
    return self:get(source)
  end
  return self.channels:join(fetch, names, on_snapshot, options and options.where)
end

-- Calls handler(event) for each event of the type, "*" for all. What it gives back takes the handler away again.
function Client:on(name, handler)
  -- A function may be there more than once.
  local own = { handler = handler }
  local list = { own }
  for _, earlier in ipairs(self.handlers[name] or {}) do table.insert(list, #list, earlier) end
  self.handlers[name] = list
  return function()
    local rest = {}
    for _, other in ipairs(self.handlers[name]) do
      if other ~= own then rest[#rest + 1] = other end
    end
    self.handlers[name] = rest
  end
end

-- A GET: the body and its cursor. It is tried until it is answered, for options.seconds at most.
function Client:get(path, options)
  local deadline = options and options.seconds and LrDate.currentTime() + options.seconds
  local reply, refused = self.link:ask({ method = "GET", path = path }, deadline)
  if not reply then return nil, refused end
  return reply.body, reply.cursor
end

-- A change over REST at once, beside the queue; tried with one key until it is answered, for options.seconds at most.
-- The body and its cursor. options: key, seconds, wait (seconds that the server may take by itself).
function Client:request(method, path, body, options)
  options = options or {}
  local deadline = options.seconds and LrDate.currentTime() + options.seconds
  local reply, refused = self.link:ask({
    method = method,
    path = path,
    text = body and json.encode(body) or "",
    key = options.key or unique.key(),
    timeout = TIMEOUT_SECONDS + (options.wait or 0),
  }, deadline)
  if not reply then return nil, refused end
  return reply.body, reply.cursor
end

-- A change over REST in its turn: kept while there is no line, and done once. options: key. The body and its cursor.
function Client:write(method, path, body, options)
  local text = body and json.encode(body) or ""
  local reply, refused = self.outbox:put(method, path, text, options and options.key)
  if not reply then return nil, refused end
  return reply.body, reply.cursor
end

-- An event, in its turn with the changes. Its seq.
function Client:publish(event, options)
  local body, refused = self:write("POST", "/api/events", event, options)
  if not body then return nil, refused end
  local first = type(body.published) == "table" and body.published[1]
  return first and first.seq or nil
end

-- Waits for the first answer of the server: true, or nil and why there will be none.
function Client:ready(seconds)
  local deadline = seconds and LrDate.currentTime() + seconds
  if self.link:until_true(function() return self.link.status == "connected" end, deadline) then return true end
  if self.link.status ~= "closed" then return nil, { code = "timeout", message = "no answer in time" } end
  return nil, { code = self.link.closed_with or "closed", message = self.link.closed_because or "the client is closed" }
end

-- Waits until all changes are answered; false when `seconds` pass before.
function Client:flush(seconds)
  local done = function() return #self.outbox.entries == 0 end
  return self.link:until_true(done, LrDate.currentTime() + seconds)
end

function Client:state()
  return {
    status = self.link.status,
    cursor = self.channels:cursor(),
    channels = self.channels:list(),
    tokens_asked = self.link.tokens_asked,
    queued = #self.outbox.entries,
  }
end

-- For good, and at once: what is under way is not waited for, and nothing is called any more. Needs no task.
function Client:close()
  self.link:close()
end

-- options: url; get_token(), which gives the token; storage {load(), which gives the text, save(text)};
-- on_status(status, detail), on_state_lost(channels, recovery), on_error(error); wait (seconds of a poll), queue_max
-- (changes).
function lightwire.connect(options)
  local self = setmetatable({ options = options, handlers = {} }, Client)
  self.log = LrLogger("Lightwire")
  self.link = link.new({
    url = options.url,
    get_token = options.get_token,
    timeout = TIMEOUT_SECONDS,
    on_status = function(status, detail)
      if status == "closed" then self.channels:close() end
      call(self, options.on_status, status, detail)
    end,
    on_error = function(failure) self:report(failure) end,
  })
  self.outbox = outbox.new(self.link, options.queue_max or QUEUE_ENTRIES_MAX, QUEUE_BYTES_MAX)
  local storage = options.storage or {}
  self.channels = channels.new({
    link = self.link,
    wait = options.wait or WAIT_SECONDS,
    positions = positions.new(storage.load and storage.load()),
    save = function(text) call(self, storage.save, text) end,
    deliver = function(event) deliver(self, event) end,
    call = function(...) call(self, ...) end,
    report = function(failure) self:report(failure) end,
    on_state_lost = options.on_state_lost,
  })
  call(self, options.on_status, "connecting", {})
  LrTasks.startAsyncTask(function()
    self.link:ask({ method = "GET", path = "/api/events?since=now%3A&limit=1" })
  end, "Lightwire")
  return self
end

return lightwire
