#!/bin/sh
# firefox [URL]: shows one page on the whole screen, with a profile that is new at each start.

profile=$(mktemp -d) || exit
# Without a window manager nobody makes a window as large as the screen. Larger than that it cannot get.
echo '{"chrome://browser/content/browser.xhtml": {"main-window": {"screenX": "0", "screenY": "0", "width": "16384", "height": "16384", "sizemode": "normal"}}}' >"$profile/xulstore.json"
exec /usr/lib/firefox-esr/firefox-esr --kiosk --no-remote --profile "$profile" "$@"
