-- JSON (RFC 8259), strict both ways: what is not JSON, nests deeper than 64 or has no meaning in JSON is an error.
--
-- `null` is a value of its own; a decoded list has the metatable of `array`, so an empty one stays a list. A table
-- without it is a list where it has t[1], and an object where it is empty. Integers keep all digits up to 2^53.

local DEPTH_MAX = 64

local json = { null = setmetatable({}, { __tostring = function() return "null" end }) }

local list = {}

-- Marks a table as a list, for those that may be empty.
function json.array(t) return setmetatable(t, list) end

function json.is_array(t) return getmetatable(t) == list end

-- The decimal point of this machine's locale, which tonumber and format follow.
local POINT = string.format("%.1f", 0.5):sub(2, -2)

local function fail(position, reason)
  error({ json = true, message = ("%s at byte %d"):format(reason, position) }, 0)
end

local escapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  local last, middle = 0x80 + code % 64, 0x80 + math.floor(code / 64) % 64
  if code < 0x10000 then return string.char(0xE0 + math.floor(code / 4096), middle, last) end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64, middle, last)
end

-- The character of \uXXXX at `at`, and where it ends. A half of a pair alone has no character: U+FFFD.
local function unicode(text, at)
  local digits = text:match("^u(%x%x%x%x)", at)
  if not digits then fail(at, "malformed escape") end
  local code = tonumber(digits, 16)
  if code < 0xD800 or code > 0xDFFF then return utf8(code), at + 5 end
  local low = code < 0xDC00 and tonumber(text:match("^\\u(%x%x%x%x)", at + 5) or "0", 16) or 0
  if low < 0xDC00 or low > 0xDFFF then return utf8(0xFFFD), at + 5 end
  return utf8(0x10000 + (code - 0xD800) * 1024 + low - 0xDC00), at + 11
end

-- `at` is behind the opening quote.
local function read_string(text, at)
  local parts, from = nil, at
  while true do
    -- Not %c: in some locales that takes bytes of UTF-8 too.
    local stop = text:find('[%z\1-\31"\\]', at)
    if not stop then fail(from, "unfinished string") end
    local byte = text:byte(stop)
    if byte == 34 then
      local rest = text:sub(at, stop - 1)
      if not parts then return rest, stop + 1 end
      parts[#parts + 1] = rest
      return table.concat(parts), stop + 1
    elseif byte == 92 then
      parts = parts or {}
      parts[#parts + 1] = text:sub(at, stop - 1)
      local plain = escapes[text:sub(stop + 1, stop + 1)]
      if plain then at = stop + 2 else plain, at = unicode(text, stop + 1) end
      parts[#parts + 1] = plain
    else
      fail(stop, "control character in a string")
    end
  end
end

local function read_number(text, at)
  local stop = select(2, text:find("^-?%d+", at))
  if not stop or text:find("^-?0%d", at) then fail(at, "malformed number") end
  stop = select(2, text:find("^%.%d+", stop + 1)) or stop
  stop = select(2, text:find("^[eE][+-]?%d+", stop + 1)) or stop
  local digits = text:sub(at, stop)
  if POINT ~= "." then digits = digits:gsub("%.", POINT) end
  return tonumber(digits), stop + 1
end

local function skip(text, at) return text:find("[^ \n\r\t]", at) or #text + 1 end

local read_value

local function read_array(text, at, depth)
  local result, n = json.array({}), 0
  at = skip(text, at)
  if text:sub(at, at) == "]" then return result, at + 1 end
  while true do
    n = n + 1
    result[n], at = read_value(text, at, depth)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "]" then return result, at + 1 end
    if mark ~= "," then fail(at, "expected , or ]") end
    at = at + 1
  end
end

local function read_object(text, at, depth)
  local result = {}
  at = skip(text, at)
  if text:sub(at, at) == "}" then return result, at + 1 end
  while true do
    at = skip(text, at)
    if text:sub(at, at) ~= '"' then fail(at, "expected a name") end
    local name
    name, at = read_string(text, at + 1)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then fail(at, "expected :") end
    result[name], at = read_value(text, at + 1, depth)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "}" then return result, at + 1 end
    if mark ~= "," then fail(at, "expected , or }") end
    at = at + 1
  end
end

local words = { t = { "true", true }, f = { "false", false }, n = { "null", json.null } }

function read_value(text, at, depth)
  at = skip(text, at)
  local first = text:sub(at, at)
  if first == '"' then return read_string(text, at + 1) end
  if first == "{" or first == "[" then
    if depth >= DEPTH_MAX then fail(at, "nested too deep") end
    return (first == "{" and read_object or read_array)(text, at + 1, depth + 1)
  end
  local word = words[first]
  if not word then return read_number(text, at) end
  if text:sub(at, at + #word[1] - 1) ~= word[1] then fail(at, "unknown word") end
  return word[2], at + #word[1]
end

-- The value, or nil and what is wrong.
function json.decode(text)
  local ok, value, stop = pcall(read_value, text, 1, 0)
  if not ok then
    if type(value) == "table" and value.json then return nil, value.message end
    error(value, 0)
  end
  if skip(text, stop) <= #text then return nil, ("something follows the value at byte %d"):format(stop) end
  return value
end

local function quote(text)
  local escaped = text:gsub('[%z\1-\31"\\]', function(char)
    if char == '"' or char == "\\" then return "\\" .. char end
    return ("\\u%04x"):format(char:byte())
  end)
  return '"' .. escaped .. '"'
end

-- The fewest digits that say this very number.
local function write_number(n)
  if n ~= n or n == math.huge or n == -math.huge then error("JSON has no such number", 0) end
  if n == 0 then return "0" end
  if n == math.floor(n) and math.abs(n) <= 2 ^ 53 then return ("%.0f"):format(n) end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(n)
    if tonumber(text) == n then return (text:gsub("%" .. POINT, ".")) end
  end
end

local write_value

local function write_array(t, depth)
  local count, parts = 0, {}
  for key in pairs(t) do
    if type(key) ~= "number" then error("a list with names has no JSON", 0) end
    count = count + 1
  end
  for i = 1, count do
    if t[i] == nil then error("a list with holes has no JSON", 0) end
    parts[i] = write_value(t[i], depth)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function write_object(t, depth)
  local names, parts = {}, {}
  for name in pairs(t) do
    if type(name) ~= "string" then error("an object's names are strings", 0) end
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = quote(name) .. ":" .. write_value(t[name], depth) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function write_value(value, depth)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "number" then return write_number(value) end
  if kind == "boolean" or value == json.null then return tostring(value) end
  if kind ~= "table" then error("a " .. kind .. " has no JSON", 0) end
  if depth >= DEPTH_MAX then error("nested too deep", 0) end
  local is_list = json.is_array(value) or value[1] ~= nil
  return (is_list and write_array or write_object)(value, depth + 1)
end

-- The text, names in the order of their bytes. Raises for what has no JSON.
function json.encode(value) return write_value(value, 0) end

return json
