-- Runs a script of a plug-in, and says what it does: JSON of what it gives to `import("Report")`, its log and its
-- dialogs.
--
-- Usage: script.lua STANDIN FOLDER FILE [NAME=VALUE ...]. The values are what `import("Setting")(name)` gives; it ends
-- when no task is left or import("Quit")() is called, and fails when one raised or a global was written.

local standin, folder, file = arg[1], arg[2], arg[3]
package.path = standin .. "/?.lua;" .. package.path

local lightroom = require("lightroom")

local settings = {}
for i = 4, #arg do
  local name, value = arg[i]:match("^([%w_]+)=(.*)$")
  settings[name] = value
end
lightroom.prefs_file = settings.prefs
lightroom.passwords.token = settings.token

io.stdout:setvbuf("line")
local plugin = lightroom.load(folder)
local json = plugin.require("lightwire_json")
local over = false
local function say(word, value) print(word .. " " .. json.encode(value)) end

lightroom.provide("Report", function(value) say("reported", value) end)
lightroom.provide("Setting", function(name) return settings[name] end)
lightroom.provide("Quit", function() over = true end)
-- Kilobytes that are held, without what nobody can reach any more.
lightroom.provide("Memory", function()
  collectgarbage()
  return collectgarbage("count")
end)
lightroom.told = function(text) say("told", text) end

plugin.run(file)
lightroom.tasks.run(function() return over end)
for _, raised in ipairs(lightroom.tasks.errors) do io.stderr:write("raised: ", raised, "\n") end
for _, name in ipairs(lightroom.globals) do io.stderr:write("global: ", name, "\n") end
os.exit(#lightroom.tasks.errors + #lightroom.globals > 0 and 1 or 0)
