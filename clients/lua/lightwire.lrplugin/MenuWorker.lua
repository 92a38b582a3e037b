-- Library > Plug-in Extras > Start or Stop the Lightwire Worker
local LrDialogs = import("LrDialogs")
local plugin = require("lightwire_plugin")

LrDialogs.showBezel(plugin.toggle_worker() and "Lightwire worker started" or "Lightwire worker stopped")
