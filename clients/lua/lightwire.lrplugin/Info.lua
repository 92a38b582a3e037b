return {
  LrSdkVersion = 10.0,
  LrSdkMinimumVersion = 6.0,
  LrToolkitIdentifier = "org.lightwire.lightroom",
  LrPluginName = "Lightwire",

  LrInitPlugin = "PluginInit.lua",
  LrForceInitPlugin = true,
  LrShutdownPlugin = "PluginStop.lua",
  LrDisablePlugin = "PluginStop.lua",
  LrEnablePlugin = "PluginInit.lua",
  LrShutdownApp = "AppShutdown.lua",
  LrPluginInfoProvider = "PluginSettings.lua",

  LrLibraryMenuItems = {
    { title = "Start or Stop the Lightwire Worker", file = "MenuWorker.lua" },
    { title = "Lightwire Status", file = "MenuStatus.lua" },
  },

  VERSION = { major = 0, minor = 1, revision = 0 },
}
