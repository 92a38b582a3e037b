-- Keys that nobody else makes, and fractions that no two machines draw alike: math.random gives all of them the same.
--
-- They are not secret, and need not be.

local LrDate = import("LrDate")
local LrMD5 = import("LrMD5")

local unique = {}

local seed = table.concat({ tostring({}), tostring(unique), ("%.9f"):format(LrDate.currentTime()), os.clock() }, "/")
local drawn = 0

local function draw()
  drawn = drawn + 1
  return LrMD5.digest(("%s/%d/%.9f"):format(seed, drawn, LrDate.currentTime())):lower()
end

-- Hexadecimal digits; the last of them count.
function unique.key() return draw() .. ("%06x"):format(drawn) end

-- From 0 up to, not including, 1.
function unique.fraction() return tonumber(draw():sub(1, 8), 16) / 2 ^ 32 end

return unique
