-- The plug-in's section in File > Plug-in Manager: where the server is, and the token that it wants.
local LrPasswords = import("LrPasswords")
local LrPrefs = import("LrPrefs")
local LrView = import("LrView")
local plugin = require("lightwire_plugin")

local WIDTH = 50

return {
  startDialog = function(properties)
    properties.url = LrPrefs.prefsForPlugin().url or "http://127.0.0.1:5100"
    properties.token = LrPasswords.retrieve("token") or ""
    properties.status = plugin.describe()
  end,

  endDialog = function(properties)
    local prefs = LrPrefs.prefsForPlugin()
    local changed = properties.url ~= prefs.url or properties.token ~= (LrPasswords.retrieve("token") or "")
    if not changed then return end
    prefs.url = properties.url
    LrPasswords.store("token", properties.token)
    plugin.start()
  end,

  sectionsForTopOfDialog = function(view, properties)
    local bind = LrView.bind
    local function field(title, control)
      return view:row({ view:static_text({ title = title, width = LrView.share("title") }), control })
    end
    return {
      {
        title = "Lightwire",
        bind_to_object = properties,
        field("Server", view:edit_field({ value = bind("url"), width_in_chars = WIDTH })),
        field("Token", view:password_field({ value = bind("token"), width_in_chars = WIDTH })),
        field("Status", view:static_text({ title = bind("status"), height_in_lines = 5, width_in_chars = WIDTH })),
      },
    }
  end,
}
