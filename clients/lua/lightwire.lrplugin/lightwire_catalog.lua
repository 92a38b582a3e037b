-- What the plug-in does to the catalog: applies a develop preset to a photo, and flags it.

local LrApplication = import("LrApplication")

local catalog = {}

-- How long another writer may hold the catalog.
local WRITE_SECONDS = 30

-- Nothing may yield inside of `change`.
local function write(title, change)
  local outcome = LrApplication.activeCatalog():withWriteAccessDo(title, change, { timeout = WRITE_SECONDS })
  return outcome ~= "aborted" and outcome ~= "queued"
end

local function preset_named(name)
  for _, folder in ipairs(LrApplication.developPresetFolders()) do
    for _, preset in ipairs(folder:getDevelopPresets()) do
      if preset:getName() == name then return preset end
    end
  end
end

-- True, or nil and the reason.
function catalog.apply_preset(path, name)
  local photo = LrApplication.activeCatalog():findPhotoByPath(path)
  if not photo then return nil, path .. " is not in this catalog" end
  local preset = preset_named(name)
  if not preset then return nil, ("there is no develop preset %q"):format(name) end
  if not write("Lightwire: " .. name, function() photo:applyDevelopPreset(preset, _PLUGIN) end) then
    return nil, "the catalog is busy"
  end
  return true
end

-- mark: 1 picked, -1 rejected. True, or nil and "absent" where the catalog does not have the photo, or "busy".
function catalog.flag(path, mark)
  local photo = LrApplication.activeCatalog():findPhotoByPath(path)
  if not photo then return nil, "absent" end
  if write("Lightwire: flag", function() photo:setRawMetadata("pickStatus", mark) end) then return true end
  return nil, "busy"
end

return catalog
