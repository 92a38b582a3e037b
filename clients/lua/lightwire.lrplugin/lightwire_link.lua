-- The line to the server: one request over LrHttp, the token that it shows, and when the next may be tried.
--
-- Everything here runs in a task of LrTasks. `attempt` gives a reply of the server, or nil when there was none that
-- counts (nothing came, no JSON, a limit, a server on its way out): the link has then noted when to try again, and
-- `wait` waits for it.

local LrDate = import("LrDate")
local LrHttp = import("LrHttp")
local LrTasks = import("LrTasks")
local json = require("lightwire_json")
local unique = require("lightwire_unique")

local BACKOFF_SECONDS, BACKOFF_MAX_SECONDS = 0.5, 30
-- LrTasks has nothing to wait on but time.
local TICK_SECONDS = 0.05
local TOKEN_LENGTH_MAX = 8192

local link = {}

local Link = {}
Link.__index = Link

-- options: url, get_token?, timeout (seconds), on_status(status, detail), on_error(error)
function link.new(options)
  local url = options.url:gsub("/+$", "")
  return setmetatable({
    url = url,
    get_token = options.get_token,
    timeout = options.timeout,
    on_status = options.on_status,
    on_error = options.on_error,
    status = "connecting",
    tokens_asked = 0,
    failures = 0,
    doubts = 0,
    round = 0,
    not_before = 0,
  }, Link)
end

-- Sleeps until holds() is true; false when the link was closed, or `deadline` passed, before.
function Link:until_true(holds, deadline)
  while not holds() do
    if self.status == "closed" then return false end
    local left = deadline and deadline - LrDate.currentTime() or TICK_SECONDS
    if left <= 0 then return false end
    LrTasks.sleep(math.min(left, TICK_SECONDS))
  end
  return self.status ~= "closed"
end

-- Waits for the time of the next try. False when there is none: closed, or `deadline` comes first.
function Link:wait(deadline)
  local turn = function() return LrDate.currentTime() >= self.not_before end
  if not self:until_true(turn, deadline) then return false end
  if self.status == "waiting" then self:set_status("connecting") end
  return self.status ~= "closed"
end

function Link:set_status(status, detail)
  if self.status == "closed" or (status == self.status and not detail) then return end
  self.status = status
  self.on_status(status, detail or {})
end

-- For good. Without a code it was the application's own wish.
function Link:close(code, message)
  if self.status == "closed" then return end
  self.closed_with, self.closed_because = code, message
  self:set_status("closed", { code = code, message = message })
end

-- Full jitter over a span that doubles with each failure in a row.
local function jitter(failures)
  return unique.fraction() * math.min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2 ^ (failures - 1))
end

-- Notes a failure of a request that began in `round`: of requests side by side the first one counts.
local function fail(self, round, code, message, seconds)
  if round ~= self.round or self.status == "closed" then return end
  self.failures = self.failures + 1
  self.round = self.round + 1
  -- The server's own word is taken as it is.
  local delay = seconds or jitter(self.failures)
  self.not_before = math.max(self.not_before, LrDate.currentTime() + delay)
  self:set_status("waiting", { code = code, message = message, seconds = delay })
end

-- For a reply that is an answer and yet of no use.
function Link:distrust(message)
  self.doubts = self.doubts + 1
  fail(self, self.round, "malformed", message, jitter(self.doubts))
end

-- After one that was.
function Link:trust() self.doubts = 0 end

-- The token, asked for once by all who need it; nil after a failure, which is noted.
local function token_for(self, round)
  if not self.get_token then return "" end
  if not self:until_true(function() return not self.asking end) then return nil end
  if self.token then return self.token end
  self.asking = true
  self.tokens_asked = self.tokens_asked + 1
  local ok, token = LrTasks.pcall(self.get_token)
  self.asking = false
  if ok and type(token) == "string" and token ~= "" and #token <= TOKEN_LENGTH_MAX and not token:find("[%s%c]") then
    self.token = token
    self.fresh = true
    return token
  end
  local reason = ok and "get_token gave no token" or tostring(token)
  self.on_error({ code = "token", message = reason })
  fail(self, round, "token", reason)
  return nil
end

local function header_of(info, name)
  for _, header in ipairs(info) do
    if type(header) == "table" and tostring(header.field):lower() == name then return header.value end
  end
end

local function seconds_of(text) return tonumber((text or ""):match("^%s*(%d+)%s*$") or "") end

-- `RateLimit: "requests";r=0;t=5`: nothing is admitted for so long. Not a failure, so nobody is told.
local function obey_quota(self, info)
  local left, seconds = (header_of(info, "ratelimit") or ""):match(";r=(%d+);t=(%d+)")
  if left == "0" then self.not_before = math.max(self.not_before, LrDate.currentTime() + tonumber(seconds)) end
end

local function send(self, request, token)
  local headers = { { field = "Accept", value = "application/json" } }
  if token ~= "" then headers[2] = { field = "Authorization", value = "Bearer " .. token } end
  local timeout = request.timeout or self.timeout
  if request.deadline then timeout = math.min(timeout, math.max(1, request.deadline - LrDate.currentTime())) end
  if request.method == "GET" then return LrHttp.get(self.url .. request.path, headers, timeout) end
  headers[#headers + 1] = { field = "Content-Type", value = "application/json" }
  if request.key then headers[#headers + 1] = { field = "Idempotency-Key", value = request.key } end
  return LrHttp.post(self.url .. request.path, request.text or "", headers, request.method, timeout)
end

-- 401: what may become good with another token is asked for at once, but only once in a row.
local function refuse_token(self, round, token, code, message)
  if code == "invalid_token" then return self:close(code, message) end
  if self.token ~= token then return nil end
  self.token = nil
  if self.fresh or not self.get_token then fail(self, round, code, message) end
end

-- request: method, path, text? (JSON), key?, timeout?. The reply: {status, body, cursor}, with code and message when it
-- is a refusal.
function Link:attempt(request)
  local round = self.round
  local token = token_for(self, round)
  if not token or self.status == "closed" then return nil end
  local ok, text, info = LrTasks.pcall(send, self, request, token)
  if not ok then text, info = nil, { error = { errorCode = "raised", name = tostring(text) } } end
  info = info or {}
  local status = tonumber(info.status)
  if not text or not status or info.error then
    local reason = info.error or {}
    -- Some systems keep the body of a 401 for themselves.
    if reason.errorCode ~= "authenticationError" then
      return fail(self, round, reason.errorCode or "no_answer", reason.name)
    end
    status, text = 401, ""
  end
  local body, fault = json.decode(text)
  local told = type(body) == "table" and body or {}
  local code = status >= 400 and (type(told.code) == "string" and told.code or "http_" .. status) or nil
  obey_quota(self, info)
  if status == 401 then return refuse_token(self, round, token, code, told.detail) end
  -- What a gateway says by itself, JSON or not, tells nothing of what the server did.
  local is_gateways = type(told.code) ~= "string" and (status >= 500 or status == 408)
  if is_gateways or status == 429 or status >= 502 then
    return fail(self, round, code, told.detail, seconds_of(header_of(info, "retry-after")))
  end
  if told ~= body then return fail(self, round, "malformed", ("%d: %s"):format(status, fault or "no object")) end
  self.fresh = false
  self.failures = 0
  self:set_status("connected")
  local cursor = header_of(info, "lightwire-cursor")
  return { status = status, body = body, cursor = cursor, code = code, message = body.detail }
end

-- Tries until the server has answered. Nil and an error when it was closed, or the deadline passed, before.
function Link:ask(request, deadline)
  request.deadline = deadline
  while self:wait(deadline) do
    local reply = self:attempt(request)
    if reply and reply.code then
      return nil, { code = reply.code, message = reply.message, status = reply.status, body = reply.body }
    end
    if reply then return reply end
  end
  if self.status == "closed" then return nil, { code = "closed", message = "the client is closed" } end
  return nil, { code = "timeout", message = "no answer in time" }
end

return link
