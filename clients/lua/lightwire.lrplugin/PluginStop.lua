-- The plug-in is disabled, removed or about to be loaded anew; this environment's tasks would run on.
require("lightwire_plugin").stop()
