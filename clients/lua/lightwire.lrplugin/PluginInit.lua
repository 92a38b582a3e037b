-- Lightroom has loaded or enabled the plug-in.
require("lightwire_plugin").start()
