// What no policy covers: for one page, on a machine without a graphics card, that nobody looks after.

// One process for pages, and none for what else Firefox has some for: each costs 50 MB, and seconds on an emulated
// processor.
pref("fission.autostart", false);
pref("dom.ipc.forkserver.enable", false);
pref("dom.ipc.processCount", 1);
pref("dom.ipc.processPrelaunch.enabled", false);
pref("browser.tabs.remote.separatePrivilegedContentProcess", false);
pref("extensions.webextensions.remote", false);
pref("media.rdd-process.enabled", false);
pref("media.utility-process.enabled", false);
pref("network.process.enabled", false);
pref("gfx.webrender.software", true);
pref("accessibility.force_disabled", 1);

// Sound, before anybody has clicked. Firefox's own way to ALSA finds no channels to play on (153, in Debian); apulse is
// what it takes for PulseAudio, and plays through ALSA.
pref("media.cubeb.backend", "pulse-rust");
pref("media.autoplay.default", 0);
pref("media.autoplay.blocking_policy", 0);

// The profile lives in memory and does not outlive the container.
pref("browser.cache.disk.enable", false);
pref("browser.sessionstore.resume_from_crash", false);
pref("toolkit.startup.max_resumed_crashes", -1);

// No page but the one that was asked for, and no word over it.
pref("browser.aboutwelcome.enabled", false);
pref("browser.ml.enable", false);
pref("browser.newtab.preload", false);
pref("browser.startup.homepage.abouthome_cache.enabled", false);
pref("browser.startup.homepage_override.mstone", "ignore");
pref("full-screen-api.warning.timeout", 0);
pref("dom.max_script_run_time", 0);

// No traffic but the page's.
pref("app.normandy.enabled", false);
pref("browser.newtabpage.activity-stream.unifiedAds.spocs.enabled", false);
pref("browser.newtabpage.activity-stream.unifiedAds.tiles.enabled", false);
pref("browser.region.network.url", "");
pref("browser.safebrowsing.downloads.enabled", false);
pref("browser.safebrowsing.malware.enabled", false);
pref("browser.safebrowsing.phishing.enabled", false);
pref("browser.topsites.contile.enabled", false);
pref("dom.push.connection.enabled", false);
pref("extensions.blocklist.enabled", false);
pref("media.gmp-manager.updateEnabled", false);
pref("network.connectivity-service.enabled", false);
// Heeded because of a variable in recipe.yml.
pref("services.settings.server", "data:,#remote-settings-dummy/v1");
