#!/bin/sh
# Upgrades without ending a session: the database first (the old processes go on with it), then what holds no media,
# media last. People in a room see their pages connect again; what media held is stored before it ends.
set -eu
cd "$(dirname "$0")/.."
docker compose build
docker compose run --rm migrate
docker compose up -d --no-deps --wait web worker transcriber
docker compose up -d --no-deps --wait media
docker compose up -d
