-- The Lua client at the far end of a line: does what it is told and says what an application would have seen.
--
-- Usage: client.lua ROOT PORT  (lua.ts starts it, and is at that port of 127.0.0.1: LuaSocket cannot wait for stdin)

local root, port = arg[1], tonumber(arg[2])
package.path = root .. "/tests/clients/lightroom/?.lua;" .. package.path

local socket = require("socket")
local lightroom = require("lightroom")
local tasks = lightroom.tasks

local plugin = lightroom.load(root .. "/clients/lua/lightwire.lrplugin")
local json = plugin.require("lightwire_json")
local lightwire = plugin.require("lightwire")

local line = assert(socket.connect("127.0.0.1", port))
line:settimeout(0)
line:setoption("tcp-nodelay", true)

local unsent, sending = {}, false

-- Reports in the order in which they were made, whoever made them.
local function say(value)
  unsent[#unsent + 1] = json.encode(value) .. "\n"
  if sending then return end
  sending = true
  tasks.start(function()
    while unsent[1] do
      local text, from = table.remove(unsent, 1), 1
      while from <= #text do
        local last, problem, partial = line:send(text, from)
        assert(last or problem == "timeout", problem)
        from = (last or partial) + 1
        if from <= #text then tasks.wait_for(line, "write") end
      end
    end
    sending = false
  end, "say")
end

local client
local token
local over = false

local on = {}

function on.connect(command)
  token = command.token
  local cursor = command.cursor
  client = lightwire.connect({
    url = command.url,
    get_token = function() return token end,
    wait = 5,
    storage = { load = function() return cursor end, save = function(text) cursor = text end },
    on_status = function(status, detail) say({ status = status, code = detail.code }) end,
    on_state_lost = function(channels) say({ lost = lightwire.array(channels) }) end,
    on_error = function(failure) io.stderr:write(("%s: %s\n"):format(failure.code, failure.message)) end,
  })
  client:on("*", function(event) say({ event = event }) end)
  return client:ready()
end

function on.token(command)
  token = command.token
  return json.null
end

function on.subscribe(command)
  local channels, refused = client:subscribe(command.channels, { where = command.where })
  return channels and lightwire.array(channels), refused
end

function on.unsubscribe(command) return lightwire.array(client:unsubscribe(command.channels)) end

function on.follow(command)
  local report = function(snapshot) say({ snapshot = snapshot }) end
  local channels, refused = client:snapshot_then_follow(command.path, command.channels, report)
  return channels and lightwire.array(channels), refused
end

function on.publish(command) return client:publish(command.event, { key = command.key }) end

function on.state()
  local state = client:state()
  return {
    cursor = state.cursor or json.null,
    status = state.status,
    tokensAsked = state.tokens_asked,
    transport = state.status == "closed" and json.null or "poll",
  }
end

function on.close()
  if client then client:close() end
  over = true
  return json.null
end

local before_connect = { connect = true, token = true, close = true }

local function obey(command)
  local answer, refused
  if client or before_connect[command["do"]] then
    answer, refused = on[command["do"]](command)
  else
    refused = { code = "closed", message = "connect first" }
  end
  if answer ~= nil then return say({ re = command.n, ok = answer }) end
  say({ re = command.n, refused = { code = refused.code, message = refused.message or "" } })
end

tasks.start(function()
  local rest = ""
  while not over do
    local whole, problem, partial = line:receive(65536)
    if problem == "closed" then over = true end
    rest = rest .. (whole or partial)
    for text in rest:gmatch("([^\n]*)\n") do
      local command = assert(json.decode(text))
      tasks.start(function() obey(command) end, text)
    end
    rest = rest:match("[^\n]*$")
    if problem == "timeout" then tasks.wait_for(line, "read") end
  end
end, "commands")

tasks.run(function() return over and not sending end)
for _, raised in ipairs(tasks.errors) do io.stderr:write(raised, "\n") end
for _, text in ipairs(lightroom.log) do io.stderr:write(text, "\n") end
for _, name in ipairs(lightroom.globals) do io.stderr:write("global ", name, "\n") end
os.exit(#tasks.errors + #lightroom.globals > 0 and 1 or 0)
