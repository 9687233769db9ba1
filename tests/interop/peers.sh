#!/bin/sh
# Make sure that there is what others wrote: Firefox, GStreamer, Godot and a C# compiler from Debian where that is
# possible without asking anybody, and packages from npm in the folder that is given. Whatever cannot be had is said
# plainly here, and its test is skipped.
folder=$1
debian="firefox-esr gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-nice
  gstreamer1.0-libav python3-gst-1.0 gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0
  mono-mcs mono-runtime libmono-system-runtime-serialization4.0-cil godot3-server"
# The latest puppeteer wants a newer Node than most systems have. AsyncAPI's command line is this parser and 1.6 GB.
npm="whip-whep@1.2.0 puppeteer-core@24.43.1 @asyncapi/parser@3.6.3 typescript@5.9.3 axe-core@4.11.0"

if ! dpkg -s $debian >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing Firefox, GStreamer, Mono and Godot from this system's packages"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $debian ||
      echo "SKIPPED: the system's packages cannot be installed; tests of Firefox, GStreamer, C# or Godot will be skipped."
  else
    echo "SKIPPED: not root on a Debian, so tests of Firefox, GStreamer, C# or Godot may be skipped. They need: $debian"
  fi
fi

if [ "$(cat "$folder/.installed" 2>/dev/null)" = "$npm" ]; then
  exit 0
fi
if command -v npm >/dev/null 2>&1; then
  mkdir -p "$folder" && npm install --silent --no-save --ignore-scripts --no-audit --no-fund --prefix "$folder" $npm &&
    echo "$npm" >"$folder/.installed" || echo "SKIPPED: npm cannot install $npm; their tests will be skipped."
else
  echo "SKIPPED: there is no npm on this machine; tests of $npm will be skipped."
fi
exit 0
