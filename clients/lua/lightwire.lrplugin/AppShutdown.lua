-- Lightroom ends: what is under way is left to the server, which gives a job back when its lease is over.
local plugin = require("lightwire_plugin")

return {
  LrShutdownFunction = function(done, progress)
    plugin.stop()
    progress(1)
    done()
  end,
}
