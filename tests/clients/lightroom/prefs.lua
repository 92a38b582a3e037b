-- LrPrefs: a table whose top-level assignments are kept in a file; what is assigned deeper is not noticed.

local prefs = {}

local opened = {}

local function literal(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for name, inner in pairs(value) do parts[#parts + 1] = ("[%s]=%s"):format(literal(name), literal(inner)) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function write(file, values)
  local handle = assert(io.open(file .. ".new", "w"))
  assert(handle:write("return " .. literal(values)))
  handle:close()
  assert(os.rename(file .. ".new", file))
end

-- file: nil keeps them in memory only.
function prefs.open(file)
  local name = file or "memory"
  if opened[name] then return opened[name] end
  local chunk = file and loadfile(file)
  local values = chunk and chunk() or {}
  opened[name] = setmetatable({ pairs = function() return pairs(values) end }, {
    __index = values,
    __newindex = function(_, key, value)
      values[key] = value
      if file then write(file, values) end
    end,
  })
  return opened[name]
end

return prefs
