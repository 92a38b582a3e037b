-- Where each channel stands: the epoch and seq up to which its events were applied, as text to store and to ask with.
--
-- A position keeps the epoch in which it was learnt: only there the server can tell whether its history still has it.

local positions = {}

local Positions = {}
Positions.__index = Positions

-- Reads one or several cursors (PROTOCOL §5) with spaces between them. What is no cursor is left out.
function positions.parse(text)
  local found = {}
  if type(text) ~= "string" then return found end
  for epoch, list in text:gmatch("([a-z0-9]+):([a-z0-9=,]*)") do
    for channel, seq in list:gmatch("([a-z]+)=(%d+)") do found[channel] = { epoch = epoch, seq = tonumber(seq) } end
  end
  return found
end

-- text: of an earlier life, as `text` gave it.
function positions.new(text) return setmetatable({ at = positions.parse(text) }, Positions) end

local function cursors_of(at, channels)
  local lists, epochs = {}, {}
  local names = {}
  for channel in pairs(channels) do names[#names + 1] = channel end
  table.sort(names)
  for _, channel in ipairs(names) do
    local place = at[channel]
    if place then
      if not lists[place.epoch] then
        lists[place.epoch] = {}
        epochs[#epochs + 1] = place.epoch
      end
      table.insert(lists[place.epoch], ("%s=%.0f"):format(channel, place.seq))
    end
  end
  local texts = {}
  for i, epoch in ipairs(epochs) do texts[i] = epoch .. ":" .. table.concat(lists[epoch], ",") end
  return texts
end

-- Of these channels (a set), for the storage; nil where none has a position.
function Positions:text(channels)
  local texts = cursors_of(self.at, channels or self.at)
  return texts[1] and table.concat(texts, " ") or nil
end

-- The channels of a set that can be asked for with one cursor, and that cursor: those without a position begin now.
-- `all` is false where another epoch's have to be asked for after them; then `last`, the epoch of the request before,
-- lets each have its turn.
function Positions:request(channels, last)
  local epoch, first
  for channel in pairs(channels) do
    local place = self.at[channel]
    if place then
      if not first or place.epoch < first then first = place.epoch end
      if last and place.epoch > last and (not epoch or place.epoch < epoch) then epoch = place.epoch end
    end
  end
  epoch = epoch or first
  local chosen, names, all = {}, {}, true
  for channel in pairs(channels) do
    local place = self.at[channel]
    if not place or place.epoch == epoch then
      chosen[channel] = true
      names[#names + 1] = channel
    else
      all = false
    end
  end
  table.sort(names)
  -- A cursor that names no channel is good in any epoch.
  return { names = names, since = cursors_of(self.at, chosen)[1] or "now:", all = all, epoch = epoch }
end

return positions
