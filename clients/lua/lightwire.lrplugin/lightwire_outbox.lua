-- Changes on their way to the server, in order and each once: an entry is sent again with its key until it is answered.

local LrTasks = import("LrTasks")
local unique = require("lightwire_unique")

local outbox = {}

local Outbox = {}
Outbox.__index = Outbox

-- Entries and bytes are bounded; what comes over it is refused at once.
function outbox.new(link, entries_max, bytes_max)
  local self = { link = link, entries_max = entries_max, bytes_max = bytes_max, entries = {}, bytes = 0 }
  return setmetatable(self, Outbox)
end

local function drain(self)
  while self.entries[1] and self.link.status ~= "closed" do
    local entry = self.entries[1]
    entry.reply, entry.refused = self.link:ask(entry)
    entry.answered = true
    table.remove(self.entries, 1)
    self.bytes = self.bytes - #entry.text
  end
  self.draining = false
end

-- Sends after all that was put before, and waits for the answer: the reply, or nil and an error. Without a key one is
-- made.
function Outbox:put(method, path, text, key)
  if self.link.status == "closed" then return nil, { code = "closed", message = "the client is closed" } end
  if #self.entries >= self.entries_max or self.bytes + #text > self.bytes_max then
    return nil, { code = "queue_full", message = ("%d changes wait already"):format(#self.entries) }
  end
  local entry = { method = method, path = path, text = text, key = key or unique.key() }
  self.entries[#self.entries + 1] = entry
  self.bytes = self.bytes + #text
  if not self.draining then
    self.draining = true
    LrTasks.startAsyncTask(function() drain(self) end, "Lightwire changes")
  end
  local answered = self.link:until_true(function() return entry.answered end)
  if not answered and not entry.answered then return nil, { code = "closed", message = "the client is closed" } end
  return entry.reply, entry.refused
end

return outbox
