#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian and Ubuntu packages that are missing, and fetches the lwIP source tarball. Nothing else is changed:
# no package sources, no services. Without root it prints what is missing and stops.
#
#   tools/setup.sh                 everything for build, demo and tests
#   tools/setup.sh --build-only    only what the build and the programs need
#   tools/setup.sh --matrix        also the large programs of tests/e2e/e_matrix.py
#   tools/setup.sh --upstream      also what builds and runs the suites of tests/upstream
#   tools/setup.sh --threads       also valgrind
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
"" | --build-only | --matrix | --upstream | --threads) ;;
*) sed -n '3,/^set/s/^# \{0,1\}//p' tools/setup.sh >&2 && exit 2 ;;
esac

build_packages=(
	gcc libc6-dev meson ninja-build pkg-config dpkg-dev xz-utils ca-certificates git
	libsodium-dev libbearssl-dev libwebsockets-dev libssl-dev libc-ares-dev libjansson-dev libseccomp-dev libslirp-dev
	libglib2.0-dev libcmocka-dev)
test_packages=(
	clang clang-format nginx-light unbound bind9-dnsutils curl wget openssl python3 iproute2 procps tcpdump gcovr shellcheck
	binutils openssh-client openssh-server netcat-openbsd socat rsync iperf3 ldnsutils aria2
	iputils-ping ntpsec-ntpdate
	vsftpd lftp ncat inetutils-telnet whois gnutls-bin redis-server redis-tools python3-requests python3-dnspython libwww-perl)
matrix_packages=( # program:package, since programs come from elsewhere too
	chronyd:chrony java:default-jre-headless mosh:mosh node:nodejs npm:npm php:php-cli psql:postgresql pip:python3-pip ruby:ruby
	axel:axel chromium:chromium dirmngr:dirmngr dnsmasq:dnsmasq-base dovecot:dovecot-imapd escript:erlang-base
	fetchmail:fetchmail firefox-esr:firefox-esr gpg:gpg mbsync:isync haproxy:haproxy hping3:hping3
	kdig:knot-dnsutils links:links lua5.3:lua5.3 mosquitto:mosquitto mosquitto_pub:mosquitto-clients msmtp:msmtp
	mtr:mtr-tiny ngircd:ngircd nmap:nmap snmpd:snmpd snmpget:snmp stunnel:stunnel4 svn:subversion tclsh:tcl
	tinyproxy:tinyproxy-bin tmux:tmux traceroute:traceroute w3m:w3m weechat-headless:weechat-headless wget2:wget2
	yt-dlp:yt-dlp)
matrix_modules=( # of languages
	lua-socket libnet-dns-perl php-curl python3-aiohttp python3-gevent python3-httpx python3-trio python3-twisted python3-uvloop
	tcl-tls)

upstream_packages=(make perl libuv1-dev)

lwip_tar=lwip_2.1.3+dfsg1.orig.tar.xz
lwip_sha=0a8276d09fc4e97bbba2f953d74af2388fc2195ea156be9d7589e297a68fde24
lwip_dir=subprojects/packagefiles

packages=("${build_packages[@]}")
[ "${1:-}" = --build-only ] || packages+=("${test_packages[@]}")
[ "${1:-}" != --upstream ] || packages+=("${upstream_packages[@]}")
[ "${1:-}" != --threads ] || packages+=(valgrind)
if [ "${1:-}" = --matrix ]; then
	for p in "${matrix_packages[@]}"; do
		command -v "${p%:*}" >/dev/null || packages+=("${p#*:}")
	done
	packages+=("${matrix_modules[@]}")
fi

missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
done

if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "setup.sh: packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}" >&2
		exit 1
	fi
	echo "setup.sh: installing ${missing[*]}" >&2
	apt-get -q -y update >/dev/null
	if [ "${1:-}" = --matrix ]; then # what a release does not have: its rows are left out
		known=()
		for p in "${missing[@]}"; do
			if apt-cache show "$p" >/dev/null 2>&1; then known+=("$p"); else echo "setup.sh: no package $p here" >&2; fi
		done
		missing=("${known[@]}")
	fi
	# Package scripts ask policy-rc.d before they start a service: ours says no, for this run only.
	policy=/usr/sbin/policy-rc.d made=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		made=1
	fi
	status=0
	DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "${missing[@]}" >/dev/null || status=$?
	[ -z "$made" ] || rm -f $policy
	[ "$status" -eq 0 ] || { echo "setup.sh: apt-get failed; see above" >&2; exit 1; }
fi

# lwIP comes from the distribution's source package. apt is given a private list of sources (the machine's own, as
# sources of source packages) and private state, so that the system's lists stay as they are.
fetch_lwip() {
	local tmp
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' RETURN
	mkdir -p "$tmp/sources" "$tmp/lists/partial" "$tmp/cache"
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] && sed 's/^Types:.*/Types: deb-src/' "$f" >"$tmp/sources/$(basename "$f")"
	done
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$f" ] && sed -n 's/^deb /deb-src /p' "$f" >"$tmp/sources/$(basename "$f")"
	done
	local opt=(-q -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$tmp/sources"
		-o "Dir::State::lists=$tmp/lists" -o "Dir::Cache=$tmp/cache" -o "APT::Sandbox::User=root")
	apt-get "${opt[@]}" update >/dev/null 2>"$tmp/errors" || { cat "$tmp/errors" >&2; return 1; }
	(cd "$tmp" && apt-get "${opt[@]}" source --download-only lwip >/dev/null 2>errors) ||
		{ cat "$tmp/errors" >&2; return 1; }
	[ -f "$tmp/$lwip_tar" ] || return 1
	mkdir -p "$lwip_dir"
	cp "$tmp/$lwip_tar" "$lwip_dir/"
}

# Releases that went on to another lwIP (Ubuntu 24.04) keep the tarball of the earlier one in their archive.
fetch_lwip_pool() {
	local pool
	mkdir -p "$lwip_dir"
	for pool in http://archive.ubuntu.com/ubuntu/pool/universe http://deb.debian.org/debian/pool/main; do
		/usr/lib/apt/apt-helper download-file "$pool/l/lwip/$lwip_tar" "$lwip_dir/$lwip_tar" "SHA256:$lwip_sha" \
			>/dev/null 2>&1 && return 0
	done
	return 1
}

lwip_good() {
	[ -f "$lwip_dir/$lwip_tar" ] && echo "$lwip_sha  $lwip_dir/$lwip_tar" | sha256sum --check --quiet >/dev/null 2>&1
}

if ! lwip_good; then
	rm -f "${lwip_dir:?}/$lwip_tar"
	fetch_lwip || fetch_lwip_pool || true
	if ! lwip_good; then
		echo "setup.sh: cannot fetch $lwip_tar from the distribution's source packages; put it (sha256 $lwip_sha)" \
			"into $lwip_dir/ by hand" >&2
		exit 1
	fi
fi
