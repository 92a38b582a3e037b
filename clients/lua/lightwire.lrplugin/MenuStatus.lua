-- Library > Plug-in Extras > Lightwire Status
local LrDialogs = import("LrDialogs")
local plugin = require("lightwire_plugin")

LrDialogs.message("Lightwire", plugin.describe(), "info")
