-- A stand-in for Lightroom Classic: loads the scripts of a plug-in into an environment as narrow as its own, and gives
-- them the SDK's namespaces over real sockets, real time and a file for the preferences.
--
-- A script sees the globals below and no others, a global that is not there raises when it is read, and one that is
-- written stays in the plug-in's own environment and is counted.

local socket = require("socket")
local http = require("http")
local prefs = require("prefs")
local tasks = require("tasks")

local lightroom = { tasks = tasks, log = {}, dialogs = {}, globals = {}, passwords = {} }

-- Called with each line of a log and each dialog.
function lightroom.told() end

local SECONDS_TO_2001 = 978307200

-- Not MD5, but as good as it for making names: 32 digits that hang on every byte.
local function digest(text)
  local parts = {}
  for lane, factor in ipairs({ 8191, 131071, 524287, 257 }) do
    local hash = lane
    for i = 1, #text do hash = (hash * factor + text:byte(i) + math.floor(hash / 65536)) % 4294967291 end
    parts[lane] = ("%08x"):format(hash)
  end
  return table.concat(parts)
end

local function show(text)
  table.insert(lightroom.dialogs, text)
  lightroom.told(text)
end

local function logger_of(name)
  local logger = { enable = function() end, disable = function() end }
  for _, level in ipairs({ "trace", "debug", "info", "warn", "error", "fatal" }) do
    logger[level] = function(_, ...)
      local text = table.concat({ name, level, ... }, " ")
      table.insert(lightroom.log, text)
      lightroom.told(text)
    end
    logger[level .. "f"] = function(self, format, ...) logger[level](self, format:format(...)) end
  end
  return logger
end

local loggers = {}

local namespaces = {
  LrDate = { currentTime = function() return socket.gettime() - SECONDS_TO_2001 end },
  LrHttp = http,
  LrMD5 = { digest = digest },
  LrTasks = {
    canYield = tasks.can_yield,
    pcall = tasks.pcall,
    sleep = tasks.sleep,
    startAsyncTask = tasks.start,
    yield = function() tasks.sleep(0) end,
  },
  LrLogger = function(name)
    loggers[name] = loggers[name] or logger_of(name)
    return loggers[name]
  end,
  LrPrefs = { prefsForPlugin = function() return prefs.open(lightroom.prefs_file) end },
  LrPathUtils = { child = function(path, name) return path .. "/" .. name end },
  LrPasswords = {
    store = function(name, value) lightroom.passwords[name] = value end,
    retrieve = function(name) return lightroom.passwords[name] end,
  },
  LrDialogs = {
    message = function(...) show(table.concat({ ... }, " ")) end,
    showBezel = function(text) show(text) end,
  },
}

-- Further namespaces, or others in their place.
function lightroom.provide(name, namespace) namespaces[name] = namespace end

local allowed = {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawset", "select",
  "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall", "math", "string", "table", "_VERSION",
}

-- The environment of one load of a plug-in; folder: where its scripts lie.
function lightroom.load(folder)
  local globals, loaded = {}, {}
  for _, name in ipairs(allowed) do globals[name] = _G[name] end
  globals.os = { clock = os.clock, date = os.date, time = os.time }
  globals._PLUGIN = { id = "lightwire", path = folder }
  globals.LOC = function(text) return text:match("^%$%$%$/[^=]*=(.*)$") or text end
  globals.import = function(name) return assert(namespaces[name], "no namespace " .. name) end
  local environment = setmetatable({}, {
    __index = function(_, name)
      if globals[name] == nil then error("undefined global " .. tostring(name), 2) end
      return globals[name]
    end,
    __newindex = function(_, name, value)
      lightroom.globals[#lightroom.globals + 1] = name
      rawset(globals, name, value)
    end,
  })
  globals._G = environment
  local function run(name)
    local chunk = assert(loadfile(("%s/%s"):format(folder, name)))
    return setfenv(chunk, environment)()
  end
  globals.require = function(name)
    if loaded[name] == nil then loaded[name] = run(name .. ".lua") or true end
    return loaded[name]
  end
  return { run = run, require = globals.require }
end

return lightroom
