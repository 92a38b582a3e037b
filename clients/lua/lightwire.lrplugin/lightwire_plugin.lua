-- The plug-in's one connection: follows approvals into the catalog, and works through jobs when it is asked to.
--
-- Settings are in the preferences (url, worker, cursor, flags_due), the token in Lightroom's password store.

local LrLogger = import("LrLogger")
local LrPasswords = import("LrPasswords")
local LrPrefs = import("LrPrefs")
local catalog = require("lightwire_catalog")
local flags = require("lightwire_flags")
local lightwire = require("lightwire")
local worker = require("lightwire_worker")

local plugin = {}

local DEFAULT_URL = "http://127.0.0.1:5100"
local LEASE_SECONDS = 120

local prefs = LrPrefs.prefsForPlugin()
local log = LrLogger("Lightwire")
log:enable("logfile")

local client, hand, marks
local last = {}

local function on_status(status, detail)
  last = { status = status, code = detail.code, message = detail.message }
  log:infof("%s %s %s", status, tostring(detail.code or ""), tostring(detail.message or ""))
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
    on_state_lost = function(channels) marks:lost(channels) end,
    on_error = function(failure) log:errorf("%s: %s", tostring(failure.code), tostring(failure.message)) end,
  })
  marks = flags.new(client, prefs, log)
  marks:start()
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
