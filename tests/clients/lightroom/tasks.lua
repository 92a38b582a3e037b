-- Tasks as Lightroom has them: coroutines that take turns on one thread, and may wait only inside of one.
--
-- `sleep` and the waits on sockets of `http.lua` are the only places where another task gets its turn.

local socket = require("socket")

local tasks = { errors = {} }

local running = {} -- tasks that are not over
local current -- the one whose turn it is

local function must_be_in_a_task()
  if not current then error("this can only be called from within a task", 3) end
end

function tasks.start(func, name)
  running[#running + 1] = { coroutine = coroutine.create(func), name = name or "task", wake = 0 }
end

function tasks.can_yield() return current ~= nil end

function tasks.sleep(seconds)
  must_be_in_a_task()
  coroutine.yield({ wake = socket.gettime() + seconds })
end

-- Until the socket can be read ("read") or written, or until that time. False when it was the time.
function tasks.wait_for(sock, what, deadline)
  must_be_in_a_task()
  return coroutine.yield({ [what] = sock, wake = deadline or math.huge })
end

local function go_on(inner, ok, ...)
  if not ok or coroutine.status(inner) == "dead" then return ok, ... end
  return go_on(inner, coroutine.resume(inner, coroutine.yield(...)))
end

-- Lua 5.1 cannot yield across its own pcall.
function tasks.pcall(func, ...)
  local inner = coroutine.create(func)
  return go_on(inner, coroutine.resume(inner, ...))
end

local function turn(task, ready)
  current = task
  local ok, wants = coroutine.resume(task.coroutine, ready)
  current = nil
  if not ok then
    tasks.errors[#tasks.errors + 1] = ("%s: %s"):format(task.name, debug.traceback(task.coroutine, tostring(wants)))
  end
  task.over = coroutine.status(task.coroutine) == "dead"
  task.read, task.write, task.wake = nil, nil, nil
  for name, value in pairs(not task.over and wants or {}) do task[name] = value end
end

-- One round of turns, waiting `most` seconds at most for one to come up.
local function round(most)
  local readers, writers, now, soonest = {}, {}, socket.gettime(), most
  for _, task in ipairs(running) do
    if task.read then readers[#readers + 1] = task.read end
    if task.write then writers[#writers + 1] = task.write end
    soonest = math.min(soonest, (task.wake or math.huge) - now)
  end
  local can_read, can_write = socket.select(readers, writers, math.max(0, soonest))
  now = socket.gettime()
  for _, task in ipairs({ unpack(running) }) do
    local ready = task.read and can_read[task.read] or task.write and can_write[task.write]
    if ready or (task.wake or math.huge) <= now then turn(task, ready ~= nil) end
  end
  for i = #running, 1, -1 do
    if running[i].over then table.remove(running, i) end
  end
end

-- Runs all tasks until holds() is true, none is left, or one has raised.
function tasks.run(holds)
  while #running > 0 and not holds() and #tasks.errors == 0 do round(1) end
end

return tasks
