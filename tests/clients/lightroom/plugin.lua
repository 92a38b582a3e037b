-- Lightroom with the plug-in in it: loads what Info.lua names, does what the lines on the port say, and ends as
-- Lightroom does.
--
-- Usage: plugin.lua ROOT PORT PREFERENCES TOKEN. To it go "run FILE", "settings URL TOKEN", "busy TIMES" and "quit",
-- from it comes JSON of what the catalog sees.

local root, port, prefs_file, token = arg[1], tonumber(arg[2]), arg[3], arg[4]
package.path = root .. "/tests/clients/lightroom/?.lua;" .. package.path

local socket = require("socket")
local catalog = require("catalog")
local lightroom = require("lightroom")
local view = require("view")
local tasks = lightroom.tasks

local folder = root .. "/clients/lua/lightwire.lrplugin"
local line = assert(socket.connect("127.0.0.1", port))
line:settimeout(0)

lightroom.prefs_file = prefs_file
lightroom.passwords.token = token
local plugin = lightroom.load(folder)
local encode = plugin.require("lightwire_json").encode
local function report(value) assert(line:send(encode(value) .. "\n")) end
lightroom.provide("LrView", view)
lightroom.provide("LrApplication", catalog.open("/photos/", report))

-- It can use nothing but `string` and LOC, and asks for nothing.
local info = setfenv(assert(loadfile(folder .. "/Info.lua")), { string = string, LOC = tostring })()

local over = false

-- The Plug-in Manager is opened, its fields are filled in, and it is closed.
local function settle(url, secret)
  local provider = plugin.run(info.LrPluginInfoProvider)
  local properties = {}
  provider.startDialog(properties)
  assert(#provider.sectionsForTopOfDialog(view.factory, properties) > 0)
  properties.url, properties.token = url, secret
  provider.endDialog(properties)
end

local function quit()
  plugin.run(info.LrShutdownApp).LrShutdownFunction(function() over = true end, function() end)
  assert(over, "Lightroom waits")
end

tasks.start(function()
  plugin.run(info.LrInitPlugin)
  report({ initialized = true })
  local rest = ""
  while not over do
    local whole, problem, partial = line:receive(4096)
    rest = rest .. (whole or partial)
    for text in rest:gmatch("([^\n]*)\n") do
      local file = text:match("^run (.+)$")
      local url, secret = text:match("^settings (%S+) (%S+)$")
      local times = tonumber(text:match("^busy (%d+)$"))
      if file then plugin.run(file)
      elseif url then settle(url, secret)
      elseif times then catalog.occupy(times)
      else quit() end
      for _, shown in ipairs(lightroom.dialogs) do report({ shown = shown }) end
      lightroom.dialogs = {}
    end
    rest = rest:match("[^\n]*$")
    if problem == "closed" then over = true end
    if problem == "timeout" then tasks.wait_for(line, "read") end
  end
end, "Lightroom")

tasks.run(function() return over end)
for _, text in ipairs(lightroom.log) do io.stderr:write(text, "\n") end
for _, raised in ipairs(tasks.errors) do io.stderr:write("raised: ", raised, "\n") end
for _, name in ipairs(lightroom.globals) do io.stderr:write("global: ", name, "\n") end
os.exit(#tasks.errors + #lightroom.globals > 0 and 1 or 0)
