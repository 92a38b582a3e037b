-- A worker: claims the next job, has it developed, and reports each step, one job at a time.
--
-- The claim's number goes with every report, so a worker whose lease ran out changes nothing; the job is another's.

local LrTasks = import("LrTasks")
local lightwire = require("lightwire")

local PROGRESS_SECONDS = 10
-- Between looks for a job that no event told of.
local LOOK_SECONDS = 30
local TICK_SECONDS = 0.1

local worker = {}

local Worker = {}
Worker.__index = Worker

local function report(self, job, act, body, seconds)
  body.attempt = job.attempts
  return self.client:request("POST", ("/api/jobs/%s/%s"):format(job.id, act), body, { seconds = seconds })
end

-- What `develop` calls at each step. False when it shall stop: the job is another's, or the worker ends.
local function progress(self, job, shift, stage, percent, message)
  local body = { stage = stage, progress = percent, message = message or "" }
  local done, refused = report(self, job, "progress", body, PROGRESS_SECONDS)
  local lost = not done and (refused.code == "conflict" or refused.code == "not_found")
  if lost then self.log:warn(("job %s is another's now"):format(job.id)) end
  return not lost and self.shift == shift and self.client:state().status ~= "closed"
end

-- develop(job, step) gives a table, what came of it, or nil and what went wrong; raising is the same as that.
local function work(self, job, shift)
  local alive = true
  local function step(...)
    alive = progress(self, job, shift, ...)
    return alive
  end
  local ok, result, reason = LrTasks.pcall(self.develop, job, step)
  local done, refused
  if ok and result then
    done, refused = report(self, job, "complete", { result = result })
  else
    local text = tostring(ok and reason or result)
    -- One that the worker left is for another.
    done, refused = report(self, job, "fail", { error_message = text, retry = not alive })
  end
  if not done then self.log:warn(("job %s: %s"):format(job.id, tostring(refused.message))) end
end

-- A claim that waits at the server could not be taken back; so it is asked when an event says that there may be a job.
local function follow(self)
  local stir = function() self.stirred = true end
  self.client:on("job_created", stir)
  self.client:on("job_requeued", stir)
  local where = { type = { ["in"] = { "job_created", "job_requeued" } } }
  local followed, refused = self.client:subscribe({ "jobs" }, { where = where })
  if not followed then self.log:warn("jobs are not followed: " .. tostring(refused.message)) end
end

local function rest(self, shift)
  local ticks = LOOK_SECONDS / TICK_SECONDS
  while ticks > 0 and self.shift == shift and not self.stirred do
    LrTasks.sleep(TICK_SECONDS)
    ticks = ticks - 1
  end
end

local function run(self, shift)
  if not self.follows then
    self.follows = true
    follow(self)
  end
  while self.shift == shift and self.client:state().status ~= "closed" do
    self.stirred = false
    local body = { worker = self.name, lease_seconds = self.lease_seconds }
    local claimed, refused = self.client:request("POST", "/api/jobs/claim", body)
    if not claimed then
      if refused.code == "closed" then return end
      self.log:error("no job can be claimed: " .. tostring(refused.message))
      rest(self, shift)
    elseif claimed.job == lightwire.null then
      rest(self, shift)
    else
      work(self, claimed.job, shift)
    end
  end
end

function Worker:is_on() return self.shift % 2 == 1 end

function Worker:start()
  if self:is_on() then return end
  self.shift = self.shift + 1
  local shift = self.shift
  LrTasks.startAsyncTask(function() run(self, shift) end, "Lightwire worker")
end

-- Takes no further job; the one in hand goes back to the queue at its next step.
function Worker:stop()
  if self:is_on() then self.shift = self.shift + 1 end
end

-- options: name, lease_seconds (longer than the longest time between two steps), develop, log
function worker.new(client, options)
  return setmetatable({
    client = client,
    name = options.name,
    lease_seconds = options.lease_seconds,
    develop = options.develop,
    log = options.log,
    -- Odd while it works; each start and stop is another one.
    shift = 0,
  }, Worker)
end

return worker
