-- Long-polls the channels of one filter, page after page, and applies each event once and in order (PROTOCOL §5).
--
-- Pages are asked for by position, and the server keeps nothing: an answer that is late, broken or of an earlier set of
-- channels is thrown away, and what was in it comes again.

local LrTasks = import("LrTasks")
local json = require("lightwire_json")
local positions = require("lightwire_positions")
local token = require("lightwire_token")

local PAGE_EVENTS = 500
local PAGE_EVENTS_MIN = 8
-- LrHttp cannot call a request back: one that is of no use any more ends by itself. So many may be under way.
local ABANDONED_MAX = 4
-- Over the time that an answer may wait for an event.
local MARGIN_SECONDS = 5

local follower = {}

local Follower = {}
Follower.__index = Follower

-- host: link, positions, wait (seconds), deliver(event), moved(), lost(names, recovery, heads), and what its followers
-- share: abandoned, applying. where: JSON, or nil. Each channel that is followed has a position.
function follower.new(host, where)
  local self = { host = host, where = where, channels = {}, generation = 0, holes = 0, limit = PAGE_EVENTS }
  return setmetatable(self, Follower)
end

local function escape(text)
  return (text:gsub("[^%w%-._~]", function(char) return ("%%%02X"):format(char:byte()) end))
end

-- The path of a page; names: a list of channels.
function follower.path(names, since, where, limit, wait)
  local query = ("channels=%s&since=%s&limit=%d&wait=%d"):format(table.concat(names, ","), escape(since), limit, wait)
  return "/api/events?" .. query .. (where and "&where=" .. escape(where) or "")
end

local function is_count(value) return type(value) == "number" and value >= 0 and value == math.floor(value) end

-- The page's events and, per channel that was asked for, its end; nil where it is not a page.
function follower.read_page(body, names)
  if type(body.events) ~= "table" or type(body.cursor) ~= "string" then return nil end
  local ends, asked = positions.parse(body.cursor), {}
  for _, channel in ipairs(names) do
    if not ends[channel] then return nil end
    asked[channel] = true
  end
  for _, event in ipairs(body.events) do
    if type(event) ~= "table" or type(event.type) ~= "string" or not is_count(event.seq) then return nil end
    if not asked[event.channel] then return nil end
  end
  return { events = body.events, ends = ends }
end

-- The set of channels has changed: what is under way is of no use, a new task goes on.
function Follower:changed()
  self.generation = self.generation + 1
  self.holes = 0
  if self.flight then
    self.flight.abandoned = true
    self.host.abandoned = self.host.abandoned + 1
    self.flight = nil
  end
  if next(self.channels) == nil then return end
  local generation = self.generation
  LrTasks.startAsyncTask(function() self:run(generation) end, "Lightwire events")
end

function Follower:run(generation)
  local host, link = self.host, self.host.link
  local current = function() return self.generation == generation and link.status ~= "closed" end
  local room = function() return not current() or host.abandoned < ABANDONED_MAX end
  if not link:until_true(room) then return end
  while current() and link:wait() and current() do
    local request = host.positions:request(self.channels, self.epoch)
    self.epoch = request.epoch
    -- At once where there is more, and after a break: only an answer tells that the line holds.
    local calm = request.all and not self.more and link.status == "connected"
    local wait = calm and host.wait or 0
    local path = follower.path(request.names, request.since, self.where, self.limit, wait)
    local flight = {}
    self.flight = flight
    local reply = link:attempt({ method = "GET", path = path, timeout = wait + MARGIN_SECONDS })
    -- A line that breaks off long answers may let short ones pass.
    local limit = reply and self.limit * 2 or math.floor(self.limit / 2)
    self.limit = math.max(PAGE_EVENTS_MIN, math.min(PAGE_EVENTS, limit))
    if flight.abandoned then host.abandoned = host.abandoned - 1 else self.flight = nil end
    -- One page at a time: a handler that waits must not be overtaken by a page that was asked for before it was done.
    if reply and link:until_true(function() return not host.applying end) and current() then
      host.applying = true
      local ok, raised = LrTasks.pcall(self.take, self, reply, request.names, current)
      host.applying = false
      if not ok then link:distrust(tostring(raised)) end
    end
  end
end

function Follower:take(reply, names, current)
  local link = self.host.link
  if reply.status == 410 then return self:lose(reply) end
  -- The second is of somebody on the way, who knows nothing of tokens and rights.
  if reply.code == "internal" or (reply.code or ""):find("^http_") then return link:distrust(reply.message) end
  if reply.code then return link:close(reply.code, reply.message) end
  local page = follower.read_page(reply.body, names)
  if not page then return link:distrust("not a page of events") end
  local missing = self:apply(page, names, current)
  self.more = reply.body.more == true
  self.host:moved()
  self.holes = missing and self.holes + 1 or 0
  if not missing then return link:trust() end
  -- The first is asked for again at once.
  if self.holes > 1 then link:distrust("events are missing") end
end

-- True where a channel has a gap: it stays at its position, and is asked for from there again.
function Follower:apply(page, names, current)
  local at, whole, broken, missing = self.host.positions.at, {}, {}, false
  for _, channel in ipairs(names) do
    whole[channel] = not self.where and not token.narrows(self.host.link.token, channel)
  end
  for _, event in ipairs(page.events) do
    local channel, seq = event.channel, event.seq
    local before = at[channel]
    if whole[channel] and seq > before.seq + 1 then broken[channel] = true end
    if seq > before.seq and not broken[channel] then
      self.host.deliver(event)
      -- A handler may have taken time, and unsubscribed.
      if at[channel] == before then at[channel] = { epoch = before.epoch, seq = seq } end
      if not current() then return false end
    end
  end
  for _, channel in ipairs(names) do
    local finish, last = page.ends[channel], at[channel]
    if whole[channel] and finish.seq > last.seq then broken[channel] = true end
    if broken[channel] then
      missing = true
    elseif finish.seq >= last.seq then
      at[channel] = finish
    end
  end
  return missing
end

-- 410: what is before the journal's own beginning, or of another journal.
function Follower:lose(reply)
  local recovery, lost, heads = reply.body.recovery, {}, positions.parse(reply.cursor)
  for channel, told in pairs(type(recovery) == "table" and recovery or {}) do
    local gone = type(told) == "table" and told.status == "snapshot_required"
    if gone and self.channels[channel] and heads[channel] then lost[#lost + 1] = channel end
  end
  if #lost == 0 then return self.host.link:distrust("a lost position without its channels") end
  table.sort(lost)
  self.host:lost(lost, recovery, heads)
end

-- The text of a filter: the same for filters that are written alike.
function follower.where_text(where) return where and next(where) ~= nil and json.encode(where) or nil end

return follower
