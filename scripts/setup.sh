#!/bin/bash
# Installs the Debian packages that are missing. Does nothing, and asks no mirror, when none is.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t wanted < <(sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' scripts/packages)
missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    # pkg-config is a virtual package in newer releases.
    if [ "$state" != installed ] && ! { [ "$package" = pkg-config ] && command -v pkg-config >/dev/null; }; then
        missing+=("$package")
    fi
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "setup: ${#missing[@]} packages are missing, and only root can install them:" >&2
    echo "  apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

# The packages bring services (etcd, bird, haproxy, a Postgres cluster) that nobody asked for: Roost runs its own.
undo=()
finish() { for file in "${undo[@]}"; do rm -f "$file"; done; }
trap finish EXIT
if [ ! -e /usr/sbin/policy-rc.d ]; then
    undo+=(/usr/sbin/policy-rc.d)
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
fi
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi

echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp /tmp/roost-setup.XXXXXX)
undo+=("$log")
install() {
    apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold \
        -o Acquire::Retries=3 "${missing[@]}" >"$log" 2>&1 </dev/null
}
# The lists may be there and new enough; if not, they are fetched.
if ! install; then
    if ! { apt-get update -qq -o Acquire::Retries=3 >>"$log" 2>&1 && install; }; then
        tail -n 30 "$log" >&2
        echo "setup: apt-get failed; see above, then run 'make setup' again" >&2
        exit 1
    fi
fi
