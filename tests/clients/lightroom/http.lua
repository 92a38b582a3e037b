-- LrHttp over real sockets: one request a connection, its task waits while the others go on, and a failure is nil and a
-- table with `error` in it, as Lightroom's own gives them.

local socket = require("socket")
local tasks = require("tasks")

local http = {}

local TIMEOUT_SECONDS = 60

local function failed(info, code, name, partial)
  info.error = { errorCode = code, name = name or code, nativeCode = 0 }
  info.partial_data = partial
  return nil, info
end

local function connect(host, port, deadline)
  local sock = assert(socket.tcp())
  sock:settimeout(0)
  sock:setoption("tcp-nodelay", true)
  local _, problem = sock:connect(host, port)
  if problem == "timeout" or problem == "Operation already in progress" then
    if not tasks.wait_for(sock, "write", deadline) then
      sock:close()
      return nil, "timedOut"
    end
    local _, after = sock:connect(host, port)
    if after and after ~= "already connected" then problem = after else problem = nil end
  end
  if not problem then return sock end
  sock:close()
  return nil, "cannotConnectToHost"
end

local function send(sock, text, deadline)
  local from = 1
  while from <= #text do
    local last, problem, partial = sock:send(text, from)
    if not last and problem ~= "timeout" then return nil, "networkConnectionLost" end
    from = (last or partial) + 1
    if from <= #text and not tasks.wait_for(sock, "write", deadline) then return nil, "timedOut" end
  end
  return true
end

-- What came until the other side closed; nil and the part when something went wrong before.
local function receive(sock, deadline, enough)
  local parts = {}
  while true do
    local whole, problem, partial = sock:receive(65536)
    parts[#parts + 1] = whole or partial
    if problem == "closed" then return table.concat(parts) end
    if problem and problem ~= "timeout" then return nil, "networkConnectionLost", table.concat(parts) end
    if #parts > 1 and (whole or partial) ~= "" then parts = { table.concat(parts) } end
    if enough(parts[1] or "") then return parts[1] end
    if problem and not tasks.wait_for(sock, "read", deadline) then return nil, "timedOut", table.concat(parts) end
  end
end

local function parse_head(text)
  local head, rest = text:match("^(.-\r\n)\r\n(.*)$")
  if not head then return nil end
  local info = { status = tonumber(head:match("^HTTP/%d%.%d (%d+)")) }
  for name, value in head:gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    info[#info + 1] = { field = name, value = value }
    if name:lower() == "content-length" then info.length = tonumber(value) end
    if name:lower() == "transfer-encoding" then info.chunked = value:lower() == "chunked" end
  end
  return info, rest
end

-- The body of chunks, or nil where the last one has not come.
local function joined(text)
  local parts, at = {}, 1
  while true do
    local size, stop = text:match("^(%x+)[^\r\n]*\r\n()", at)
    if not size then return nil end
    size = tonumber(size, 16)
    if size == 0 then return table.concat(parts) end
    if #text < stop + size + 1 then return nil end
    parts[#parts + 1] = text:sub(stop, stop + size - 1)
    at = stop + size + 2
  end
end

local function body_of(info, rest)
  if info.chunked then return joined(rest) end
  if info.length then return #rest >= info.length and rest:sub(1, info.length) or nil end
  return rest
end

local function whole(text)
  local info, rest = parse_head(text)
  return info ~= nil and (info.chunked or info.length ~= nil) and body_of(info, rest) ~= nil
end

local function request(method, url, body, headers, timeout)
  if not tasks.can_yield() then error("LrHttp can only be used from within a task", 3) end
  local deadline = socket.gettime() + (timeout or TIMEOUT_SECONDS)
  local host, port, path = url:match("^http://([^:/]+):?(%d*)(/?.*)$")
  if not host then return failed({}, "badURL") end
  local sock, problem = connect(host, tonumber(port) or 80, deadline)
  if not sock then return failed({}, problem) end
  local lines = { ("%s %s HTTP/1.1"):format(method, path == "" and "/" or path), ("Host: %s:%s"):format(host, port) }
  lines[3] = "Connection: close"
  for _, header in ipairs(headers or {}) do lines[#lines + 1] = ("%s: %s"):format(header.field, header.value) end
  if body then lines[#lines + 1] = "Content-Length: " .. #body end
  local text, partial
  local sent
  sent, problem = send(sock, table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""), deadline)
  if sent then text, problem, partial = receive(sock, deadline, whole) end
  sock:close()
  local info, rest = parse_head(text or partial or "")
  if not text then return failed(info or {}, problem, problem, rest) end
  if not info then return failed({}, text == "" and "networkConnectionLost" or "badServerResponse") end
  local found = body_of(info, rest)
  info.length, info.chunked = nil, nil
  if not found then return failed(info, "networkConnectionLost", "the answer ends in the middle", rest) end
  return found, info
end

function http.get(url, headers, timeout) return request("GET", url, nil, headers, timeout) end

function http.post(url, body, headers, method, timeout)
  return request(method or "POST", url, body, headers, timeout)
end

return http
