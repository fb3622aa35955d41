# shellcheck shell=bash
# Shared by the scripts beside it; sourced, never run.
# Promises: `say`, `die`, `as_root_install`, `need` and the place where server builds are kept.

say() { printf '%s\n' "$*" >&2; }
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# The user PostgreSQL runs as when we are root cannot look into root's home,
# so root keeps the builds in a place that everybody can read.
servers_dir() {
	if [ -n "${PGSTOW_SERVERS:-}" ]; then
		printf '%s\n' "$PGSTOW_SERVERS"
	elif [ "$(id -u)" = 0 ]; then
		printf '%s\n' /var/cache/pgstow/servers
	else
		printf '%s\n' "$HOME/.cache/pgstow/servers"
	fi
}

# as_root_install PACKAGE…: installs Debian packages, refreshing the package
# lists at most once per run. Fails with a plain sentence when it cannot.
as_root_install() {
	command -v apt-get >/dev/null || die "please install $* (no apt-get here to do it)"
	[ "$(id -u)" = 0 ] || die "please install $*: sudo apt-get install $*"
	say "installing $* with apt-get"
	if [ -z "${PGSTOW_APT_UPDATED:-}" ]; then
		apt-get -qq update >&2
		export PGSTOW_APT_UPDATED=1
	fi
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >&2 ||
		die "apt-get could not install $*"
}

# need COMMAND PACKAGE: makes sure that COMMAND can be run.
need() {
	command -v "$1" >/dev/null || as_root_install "$2"
	command -v "$1" >/dev/null || die "$1 is missing and package $2 did not bring it"
}

# PostgreSQL refuses to run as root; its processes then belong to this user.
need_postgres_user() {
	[ "$(id -u)" = 0 ] || return 0
	getent passwd postgres >/dev/null ||
		useradd --system --user-group --no-create-home --home-dir /var/lib/postgresql --shell /bin/sh postgres
	need runuser util-linux
}

# timed NAME COMMAND…: runs it and says how long that took; its exit code is the command's.
timed() {
	local name=$1 start=$SECONDS code=0
	shift
	say "== $name"
	"$@" || code=$?
	say "== $name: $((SECONDS - start)) s$([ "$code" = 0 ] || echo ", failed with $code")"
	return "$code"
}
