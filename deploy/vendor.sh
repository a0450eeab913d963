#!/bin/sh
# Copies what pages use out of node_modules to app/static/vendor, so that no page fetches from elsewhere.
set -eu
cd "$(dirname "$0")/.."
mkdir -p app/static/vendor
cp node_modules/htmx.org/dist/htmx.min.js \
   node_modules/htmx-ext-sse/dist/sse.min.js \
   node_modules/@picocss/pico/css/pico.min.css \
   app/static/vendor/
