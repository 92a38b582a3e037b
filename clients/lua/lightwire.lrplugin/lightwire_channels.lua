-- Which channels are followed, by which poll, and from where: channels of equal filters share one.
--
-- It is the host of its followers: what they need of the client is here too.

local LrTasks = import("LrTasks")
local follower = require("lightwire_follower")
local positions = require("lightwire_positions")

local channels = {}

local Channels = {}
Channels.__index = Channels

-- options: link, wait (seconds of a poll), positions (of an earlier life), save(text), deliver(event),
-- call(handler, ...), report(error), on_state_lost?
function channels.new(options)
  local self = { owners = {}, followers = {}, follows = {}, held = {}, leaves = {}, abandoned = 0, applying = false }
  setmetatable(self, Channels)
  for name, value in pairs(options) do self[name] = value end
  return self
end

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

local function list_of(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

function Channels:list() return list_of(self.owners) end

-- Where they stand, as a cursor.
function Channels:cursor() return self.positions:text(self.owners) end

function Channels:moved()
  if self.closed then return end
  local text = self.positions:text() or ""
  if text == self.saved then return end
  self.saved = text
  self.save(text)
end

-- What a handler is in the middle of does not count, and a later life's position is not written over.
function Channels:close()
  self:moved()
  self.closed = true
end

-- Takes the channels from whoever polls for them.
local function pause(self, names)
  local touched = {}
  for _, name in ipairs(names) do
    local owner = self.owners[name]
    self.owners[name] = nil
    if owner then
      owner.channels[name] = nil
      touched[owner] = true
    end
  end
  for owner in pairs(touched) do
    if next(owner.channels) == nil then self.followers[owner.where or ""] = nil end
    owner:changed()
  end
end

-- follow: what reads their state again when they are lost, where there is such a thing.
local function attach(self, names, where, follow)
  pause(self, names)
  local owner = self.followers[where or ""] or follower.new(self, where)
  self.followers[where or ""] = owner
  for _, name in ipairs(names) do
    owner.channels[name] = true
    self.owners[name] = owner
    self.follows[name] = follow
    self.held[name] = nil
  end
  owner:changed()
  self:moved()
  return self:list()
end

-- Where the channels begin when they begin now, or nil and the server's refusal. Those that were unsubscribed meanwhile
-- are left out.
local function begin(self, wanted, where)
  local names = list_of(set_of(wanted))
  if #names == 0 then return nil, { code = "invalid_message", message = "no channels" } end
  local left = {}
  for _, name in ipairs(names) do left[name] = self.leaves[name] or 0 end
  local reply, refused = self.link:ask({ method = "GET", path = follower.path(names, "now:", where, 1, 0) })
  if not reply then return nil, refused end
  local page = follower.read_page(reply.body, names)
  if not page then return nil, { code = "malformed", message = "not a page of events" } end
  -- An event that came in that very moment is still to come.
  for _, event in ipairs(page.events) do
    local finish = page.ends[event.channel]
    finish.seq = math.min(finish.seq, event.seq - 1)
  end
  local heads = {}
  for _, name in ipairs(names) do
    if (self.leaves[name] or 0) == left[name] then heads[name] = page.ends[name] end
  end
  return heads
end

-- From where they are, else from now. The channels now followed, or nil and an error.
function Channels:subscribe(wanted, where)
  local text = follower.where_text(where)
  local heads, refused = begin(self, wanted, text)
  if not heads then return nil, refused end
  if next(heads) == nil then return self:list() end
  local at = self.positions.at
  for name, head in pairs(heads) do at[name] = at[name] or head end
  return attach(self, list_of(heads), text)
end

function Channels:unsubscribe(names)
  pause(self, names)
  for _, name in ipairs(names) do
    self.leaves[name] = (self.leaves[name] or 0) + 1
    self.follows[name], self.held[name] = nil, nil
    self.positions.at[name] = nil
  end
  self:moved()
  return self:list()
end

-- Of a follow's channels those that are still its own.
local function own(self, follow)
  local names = {}
  for _, name in ipairs(follow.names) do
    if self.follows[name] == follow then names[#names + 1] = name end
  end
  return names
end

-- Reads the snapshot and follows from the cursor that came with it, unless they are followed otherwise by then.
local function join(self, follow)
  local ok, snapshot, cursor = LrTasks.pcall(follow.fetch)
  if not ok then return nil, { code = "handler", message = tostring(snapshot) } end
  if snapshot == nil then return nil, cursor end
  local found = positions.parse(cursor)
  for _, name in ipairs(follow.names) do
    if not found[name] then return nil, { code = "malformed", message = "a snapshot without a cursor" } end
  end
  if self.link.status == "closed" then return nil, { code = "closed", message = "the client is closed" } end
  local names = own(self, follow)
  for _, name in ipairs(names) do self.positions.at[name] = found[name] end
  self.call(follow.on_snapshot, snapshot)
  names = own(self, follow)
  return #names > 0 and attach(self, names, follow.where, follow) or self:list()
end

-- Nothing is delivered while the snapshot is read: it may hold that already.
local function hold(self, follow)
  for _, name in ipairs(follow.names) do
    local owner = self.owners[name]
    if owner then self.held[name] = { where = owner.where, follow = self.follows[name] } end
    self.follows[name] = follow
  end
  pause(self, follow.names)
end

-- Without a snapshot they are followed as they were before.
local function release(self, follow)
  for _, name in ipairs(own(self, follow)) do
    local before = self.held[name]
    self.follows[name] = nil
    if before then attach(self, { name }, before.where, before.follow) end
  end
end

-- fetch() gives the state and its cursor, or nil and an error; on_snapshot(state) is called before any later event.
function Channels:join(fetch, wanted, on_snapshot, where)
  local text = follower.where_text(where)
  local heads, refused = begin(self, wanted, text)
  if not heads then return nil, refused end
  if next(heads) == nil then return self:list() end
  local follow = { fetch = fetch, names = list_of(heads), where = text, on_snapshot = on_snapshot }
  hold(self, follow)
  local joined, failed = join(self, follow)
  if not joined and self.link.status ~= "closed" then release(self, follow) end
  return joined, failed
end

-- heads: of those that were lost.
local function read_again(self, follow, recovery, heads)
  local joined, refused = join(self, follow)
  if joined or self.link.status == "closed" then return end
  self.report(refused)
  local names = own(self, follow)
  if #names == 0 then return end
  for _, name in ipairs(names) do self.positions.at[name] = heads[name] or self.positions.at[name] end
  self.call(self.on_state_lost, names, recovery)
  attach(self, names, follow.where)
end

-- The events after these channels' positions are gone; they go on from `heads`, after their state was read again: until
-- then the storage keeps the lost position, so that it is not forgotten.
function Channels:lost(names, recovery, heads)
  local told, again = {}, {}
  for _, name in ipairs(names) do
    local follow = self.follows[name]
    if follow then
      again[follow] = again[follow] or {}
      again[follow][name] = heads[name]
    else
      self.positions.at[name] = heads[name]
      told[#told + 1] = name
    end
  end
  for follow, theirs in pairs(again) do
    pause(self, own(self, follow))
    LrTasks.startAsyncTask(function() read_again(self, follow, recovery, theirs) end, "Lightwire snapshot")
  end
  if #told > 0 then self.call(self.on_state_lost, told, recovery) end
  self:moved()
end

return channels
