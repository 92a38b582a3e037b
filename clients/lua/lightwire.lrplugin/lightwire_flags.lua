-- Flags the catalog's photos as they are approved and rejected: by events, and by the state where events are missing.
--
-- A flag is not given up while the catalog is busy, and one of the state is never set after one of a later event.

local LrTasks = import("LrTasks")
local catalog = require("lightwire_catalog")

local MARKS = { approved = 1, rejected = -1 }
local WHERE = { type = { ["in"] = { "photo_approved", "photo_rejected" } } }
local PAGE = 500
local BUSY_SECONDS, RETRY_SECONDS = 1, 5

local flags = {}

local Flags = {}
Flags.__index = Flags

local function is_closed(self) return self.client:state().status == "closed" end

-- What another try does not change.
local function is_final(refused) return refused.status ~= nil and refused.status < 500 end

-- False when the client was closed before.
local function put(self, path, mark)
  while not is_closed(self) do
    local ok, done, reason = LrTasks.pcall(catalog.flag, path, mark)
    if not ok then self.log:errorf("%s: %s", path, tostring(done)) end
    if reason == "absent" then self.log:infof("%s is not in this catalog", path) end
    if reason ~= "busy" then return true end
    LrTasks.sleep(BUSY_SECONDS)
  end
  return false
end

-- The next event waits: it must not be counted as applied before this one.
local function take(self, event, mark)
  while not is_closed(self) do
    local photo, refused = self.client:get(("/api/photos/%d"):format(event.photo_id))
    if photo then return put(self, photo.file_path, mark) end
    self.log:warnf("photo %d: %s", event.photo_id, tostring(refused.message))
    if is_final(refused) then return end
    LrTasks.sleep(RETRY_SECONDS)
  end
end

-- Photos come and go meanwhile, so each page begins with the last photo of the one before: where it does not, some may
-- have moved to before the page. The cursor of the first page, or nil and an error.
local function read(self, status)
  local offset, last, cursor = 0, 0, nil
  while true do
    local path = ("/api/photos?status=%s&sort=id&limit=%d&offset=%d"):format(status, PAGE, offset)
    local page, at = self.client:get(path)
    if not page then return nil, at end
    cursor = cursor or at
    local first = page.photos[1]
    if offset > 0 and (not first or first.id > last) then
      offset = math.max(0, offset - PAGE)
    else
      for _, photo in ipairs(page.photos) do
        if photo.id > last then
          if not put(self, photo.file_path, MARKS[status]) then return nil, { code = "closed", message = "closed" } end
          last = photo.id
        end
      end
      if offset + #page.photos >= page.total then return cursor end
      offset = offset + #page.photos - 1
    end
  end
end

-- For snapshot_then_follow: what happens after the first page's cursor comes as events then, after all pages.
local function read_all(self)
  local cursor, refused = read(self, "approved")
  if not cursor then return nil, refused end
  local last
  last, refused = read(self, "rejected")
  if not last then return nil, refused end
  return {}, cursor
end

local function begin(self)
  local options = { where = WHERE }
  local is_first = not (self.prefs.cursor or ""):find("photos=", 1, true)
  if not is_first and not self.prefs.flags_due then return self.client:subscribe({ "photos" }, options) end
  local fetch = function() return read_all(self) end
  local done = function() self.prefs.flags_due = false end
  return self.client:snapshot_then_follow(fetch, { "photos" }, done, options)
end

-- Goes on until the photos are followed; what is refused for good is tried again when the plug-in starts.
local function follow(self)
  if self.beginning then return end
  self.beginning = true
  while not is_closed(self) do
    local followed, refused = begin(self)
    if followed or is_closed(self) then break end
    self.log:errorf("photos: %s", tostring(refused.message))
    if is_final(refused) then break end
    LrTasks.sleep(RETRY_SECONDS)
  end
  self.beginning = false
end

function Flags:start() LrTasks.startAsyncTask(function() follow(self) end, "Lightwire photos") end

-- Noted at once, so that it is done even when Lightroom ends meanwhile.
function Flags:lost(channels)
  for _, name in ipairs(channels) do
    if name == "photos" then
      self.prefs.flags_due = true
      self:start()
    end
  end
end

-- prefs: cursor (the client's storage), flags_due (whether the state has to be read)
function flags.new(client, prefs, log)
  local self = setmetatable({ client = client, prefs = prefs, log = log }, Flags)
  for status, mark in pairs(MARKS) do
    client:on("photo_" .. status, function(event) take(self, event, mark) end)
  end
  return self
end

return flags
