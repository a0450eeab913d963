#!/bin/sh
# Upgrades without ending a session: the database first (the old processes go on with it), then workers, then web, while
# the worker stands in for it towards media; media last. Pages in a room connect again; what media held is stored first.
set -eu
cd "$(dirname "$0")/.."
docker compose build
docker compose run --rm migrate
docker compose up -d --no-deps --wait worker transcriber
docker compose up -d --no-deps --wait web
docker compose up -d --no-deps --wait media
docker compose up -d
