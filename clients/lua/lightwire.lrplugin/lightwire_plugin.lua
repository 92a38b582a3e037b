-- The plug-in's one connection: follows approvals into the catalog, and works through jobs when it is asked to.
--
-- Settings are in the preferences (url, worker, cursor), the token in Lightroom's password store.

local LrLogger = import("LrLogger")
local LrPasswords = import("LrPasswords")
local LrPrefs = import("LrPrefs")
local LrTasks = import("LrTasks")
local catalog = require("lightwire_catalog")
local lightwire = require("lightwire")
local worker = require("lightwire_worker")

local plugin = {}

local DEFAULT_URL = "http://127.0.0.1:5100"
local LEASE_SECONDS = 120
local FLAGS = { approved = 1, rejected = -1 }
local PAGE = 500

local prefs = LrPrefs.prefsForPlugin()
local log = LrLogger("Lightwire")
log:enable("logfile")

local client, hand
local last = {}

local function on_status(status, detail)
  last = { status = status, code = detail.code, message = detail.message }
  log:infof("%s %s %s", status, tostring(detail.code or ""), tostring(detail.message or ""))
end

local function flag(photo_id, status)
  local photo, refused = client:get(("/api/photos/%d"):format(photo_id))
  if not photo then return log:warnf("photo %d: %s", photo_id, tostring(refused.message)) end
  if not catalog.flag(photo.file_path, FLAGS[status]) then log:infof("%s is not in this catalog", photo.file_path) end
end

-- What happened while nobody listened, when its events are no longer kept.
local function read_flags()
  for status, mark in pairs(FLAGS) do
    local offset = 0
    repeat
      local page, refused = client:get(("/api/photos?status=%s&limit=%d&offset=%d"):format(status, PAGE, offset))
      if not page then return log:warnf("photos: %s", tostring(refused.message)) end
      for _, photo in ipairs(page.photos) do catalog.flag(photo.file_path, mark) end
      offset = offset + PAGE
    until offset >= page.total
  end
end

local function follow_flags()
  local is_first_time = not prefs.cursor
  local where = { type = { ["in"] = { "photo_approved", "photo_rejected" } } }
  local followed, refused = client:subscribe({ "photos" }, { where = where })
  if followed and is_first_time then read_flags() end
  if not followed then log:errorf("photos: %s", tostring(refused.message)) end
end

local function develop(job, step)
  local photo, refused = client:get(("/api/photos/%d"):format(job.photo_id))
  if not photo then return nil, refused.message end
  if not step("open", 10) then return nil, "stopped" end
  local preset = type(job.config.preset) == "string" and job.config.preset or photo.selected_preset
  local done, reason = catalog.apply_preset(photo.file_path, preset)
  if not done then return nil, reason end
  if not step("develop", 90, preset) then return nil, "stopped" end
  return { preset = preset }
end

local function token_of()
  local token = LrPasswords.retrieve("token")
  return token ~= "" and token or nil
end

function plugin.start()
  plugin.stop()
  client = lightwire.connect({
    url = prefs.url or DEFAULT_URL,
    -- Without a token the server has to have LOCAL_SCOPE.
    get_token = token_of() and token_of or nil,
    storage = {
      load = function() return prefs.cursor end,
      save = function(text) prefs.cursor = text end,
    },
    on_status = on_status,
    on_state_lost = read_flags,
    on_error = function(failure) log:errorf("%s: %s", tostring(failure.code), tostring(failure.message)) end,
  })
  client:on("photo_approved", function(event) flag(event.photo_id, "approved") end)
  client:on("photo_rejected", function(event) flag(event.photo_id, "rejected") end)
  LrTasks.startAsyncTask(follow_flags, "Lightwire photos")
  hand = worker.new(client, { name = "Lightroom", lease_seconds = LEASE_SECONDS, develop = develop, log = log })
  if prefs.worker then hand:start() end
end

function plugin.stop()
  if not client then return end
  hand:stop()
  client:close()
end

-- Whether it works now.
function plugin.toggle_worker()
  prefs.worker = not (hand and hand:is_on())
  if not prefs.worker then
    hand:stop()
  elseif not client or client:state().status == "closed" then
    plugin.start()
  else
    hand:start()
  end
  return prefs.worker
end

function plugin.describe()
  if not client then return "stopped" end
  local state = client:state()
  return table.concat({
    ("%s %s"):format(state.status, last.code or ""),
    last.message or "",
    ("Server: %s"):format(prefs.url or DEFAULT_URL),
    ("Position: %s"):format(state.cursor or "none"),
    ("Worker: %s"):format(hand:is_on() and "on" or "off"),
  }, "\n")
end

return plugin
