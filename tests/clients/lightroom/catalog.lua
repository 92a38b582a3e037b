-- LrApplication: a catalog of the photos that it is asked for under a folder, and the presets "Warm" and "Cold". What
-- is done to it goes to `report`, a line each.

local tasks = require("tasks")

local catalog = {}

-- So many writes to come find another writer at work.
local busy = 0

function catalog.occupy(times) busy = times end

local function preset_named(name)
  return { getName = function() return name end }
end

function catalog.open(folder, report)
  local writing = false
  local function photo_at(path)
    local function change(what, value)
      assert(writing, "the catalog may only be changed with write access")
      report({ path = path, [what] = value })
    end
    return {
      applyDevelopPreset = function(_, preset, plugin)
        assert(plugin.path, "which plug-in?")
        change("preset", preset:getName())
      end,
      setRawMetadata = function(_, name, value) change(name, value) end,
    }
  end
  local active = {
    findPhotoByPath = function(_, path) return path:find(folder, 1, true) == 1 and photo_at(path) or nil end,
    withWriteAccessDo = function(_, _, change)
      tasks.sleep(0.02)
      assert(not writing, "write access inside of write access")
      if busy > 0 then
        busy = busy - 1
        report({ aborted = true })
        return "aborted"
      end
      writing = true
      -- Not the pcall that may yield: nothing may wait with write access.
      local ok, raised = pcall(change)
      writing = false
      if not ok then error(raised, 0) end
      return "executed"
    end,
  }
  local presets = { getDevelopPresets = function() return { preset_named("Cold"), preset_named("Warm") } end }
  return {
    activeCatalog = function() return active end,
    developPresetFolders = function() return { presets } end,
  }
end

return catalog
