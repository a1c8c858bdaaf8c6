#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up what is missing, builds, runs all tests; the last line is "N passed, N failed, N skipped".
#
#   tests/run.sh              everything
#   tests/run.sh quick        the plain build only: no sanitizers, no clang, no coverage
#   tests/run.sh SUITE...     meson suites of the plain build (unit kat sim platform shim e2e fuzz lint abi)
# and, not part of everything, since they take long, want a quiet machine or fetch more:
#   tests/run.sh soak [MIN]   an hour (or MIN minutes) of mixed traffic and random faults
#   tests/run.sh matrix       programs people use, all of them, on calm and on bad wires
#   tests/run.sh kernel       the stack against this kernel's TCP, with the stories that take minutes
#   tests/run.sh observer     what a capture of the gateway link tells, idle and busy
#   tests/run.sh preload      all conformance programs with the tunnel inside (the ordinary run has a third of them so)
#   tests/run.sh interop      against the published Rust crates, fetched with cargo
#   tests/run.sh upstream     tests of CPython, libuv and curl, natively and under the shim
#   tests/run.sh threads      tunnel and shim under ThreadSanitizer, AddressSanitizer, helgrind and memcheck
set -u
cd "$(dirname "$0")/.." || exit 1
case "${1:-}" in -*) sed -n '3,/^set/s/^# \{0,1\}//p' tests/run.sh >&2 && exit 2 ;; esac
setup=()
case "${1:-}" in matrix | upstream | threads) setup=("--$1") ;; esac
tools/setup.sh "${setup[@]}" || exit 1

asan_options=("-Db_sanitize=address,undefined" -Db_lundef=false -Dbuildtype=debugoptimized)
passed=0 failed=0 skipped=0
notes=()

say() { printf '\n== %s\n' "$*"; }

# One check that is no meson test: name, then the command.
check() {
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		printf 'ok   %s\n' "$name"
	else
		failed=$((failed + 1))
		notes+=("failed: $name")
		printf 'FAIL %s\n' "$name"
	fi
}

# Configures and builds a folder: folder, then meson options.
build() {
	local dir=$1
	shift
	if [ ! -f "$dir/build.ninja" ]; then
		meson setup "$dir" "$@" >"$dir.setup.log" 2>&1 || { cat "$dir.setup.log"; return 1; }
		rm -f "$dir.setup.log"
	fi
	ninja -C "$dir" --quiet
}

# Runs meson tests of a folder and adds up its log: folder, label, then arguments of meson test.
run() {
	local dir=$1 label=$2 counts
	shift 2
	rm -f "$dir/meson-logs/testlog.json"
	meson test -C "$dir" --no-rebuild --print-errorlogs "$@" 2>&1 | grep -Ev '^(ninja|$)' | tail -n 200
	counts=$(python3 - "$dir/meson-logs/testlog.json" "$label" <<'PY'
import json, os, sys
ok = bad = skip = 0
lines = []
path = sys.argv[1]
for line in open(path) if os.path.exists(path) else []:
    t = json.loads(line)
    if t["result"] in ("OK", "EXPECTEDFAIL"):
        ok += 1
    elif t["result"] == "SKIP":
        skip += 1
        why = [l for l in (t.get("stdout") or "").splitlines() if "SKIP" in l]
        lines.append(f"skipped ({sys.argv[2]}): {t['name']}: {why[0] if why else 'no reason given'}")
    else:
        bad += 1
        lines.append(f"failed ({sys.argv[2]}): {t['name']}: {t['result']}")
if not ok + bad + skip:
    bad = 1
    lines.append(f"failed ({sys.argv[2]}): no test ran")
print(ok, bad, skip)
print("\n".join(lines))
PY
	)
	read -r ok bad skip <<<"$(head -n 1 <<<"$counts")"
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	while read -r line; do
		[ -n "$line" ] && notes+=("$line")
	done <<<"$(tail -n +2 <<<"$counts")"
}

finish() {
	echo
	[ ${#notes[@]} -gt 0 ] && printf '%s\n' "${notes[@]}"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
	exit
}

# Names of the suites of tests/upstream; what they need they fetch as packages of the distribution.
upstream() {
	local suite
	for suite in cpython uv curl; do
		say "upstream: $suite"
		python3 "tests/upstream/$suite.py"
		case $? in
		77) skipped=$((skipped + 1)) notes+=("skipped: upstream $suite: see above") ;;
		0) passed=$((passed + 1)) ;;
		*) failed=$((failed + 1)) notes+=("failed: upstream $suite: a difference that is not reviewed") ;;
		esac
	done
}

# The tunnel thread and its host in builds with ThreadSanitizer and AddressSanitizer, both of them and a program's threads under helgrind,
# the shim, which has no sanitizer in it, under memcheck.
threads() {
	local tsan=(tools/smolmix-run tests/threads/threads_host tests/unit/test_loop tests/shim/test_guard shim/libsmolmix-shim.so) p
	local asan=(tools/smolmix-run shim/libsmolmix-shim.so)
	tsan_build() {
		[ -f build-tsan/build.ninja ] || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false >/dev/null
		ninja -C build-tsan --quiet "${tsan[@]}"
	}
	asan_build() {
		[ -f build-asan/build.ninja ] || meson setup build-asan "${asan_options[@]}" >/dev/null
		ninja -C build-asan --quiet "${asan[@]}"
	}
	through() { # sanitizer, program: the program is judged too
		check "$1: smolmix-run, $2" timeout 300 python3 tests/shim/run.py --mixnet "build/tests/shim/$2" \
			"build-$1/tools/smolmix-run" build/tools/smolmix-localnet
	}
	story() { # what is watched, host, program
		check "$1, $3" timeout 600 python3 tests/threads/threads.py "$1" "$2/tests/threads/threads_host" \
			build/tools/smolmix-localnet build/shim/libsmolmix-shim.so "build/tests/shim/$3"
	}
	say "ThreadSanitizer"
	check "build with TSan" tsan_build
	for p in unit/test_loop shim/test_guard; do check "TSan: $p" "build-tsan/tests/$p"; done
	story host build-tsan s_connect_block
	for p in s_stream s_thread s_fork s_udp_many s_udp_loopback; do through tsan "$p"; done
	say "AddressSanitizer and UndefinedBehaviorSanitizer"
	export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	check "build with ASan and UBSan" asan_build
	# Not s_send: it looks when a tunnel that takes no more has come to rest, which one with sanitizers does later.
	for p in s_stream s_thread s_fork s_close s_events s_signal s_recv s_udp s_udp_many s_udp_loopback s_udp_errors \
		s_ping s_tree; do
		through asan "$p"
	done
	unset ASAN_OPTIONS UBSAN_OPTIONS
	say "helgrind"
	check "helgrind: test_loop" valgrind -q --tool=helgrind --error-exitcode=66 build/tests/unit/test_loop
	story helgrind-program build s_thread
	story helgrind-host build s_connect_block
	say "memcheck"
	for p in s_stream s_thread s_socket s_sockopt s_names s_udp s_udp_messages; do story memcheck-program build "$p"; done
}

say "plain build"
check "build with gcc" build build || finish
case "${1:-}" in
soak) check "soak" python3 tests/e2e/soak.py --minutes "${2:-60}"; finish ;;
matrix)
	check "programs on calm wires" python3 tests/e2e/e_matrix.py
	check "programs on bad wires" python3 tests/e2e/e_matrix.py --bad
	finish ;;
kernel) check "the stack against the kernel" env SMOLMIX_BUILD="$PWD/build" python3 tests/e2e/e_kernel.py --long; finish ;;
observer)
	for profile in default fast; do
		check "an observer of the link, $profile" python3 tests/e2e/observer.py --profile "$profile"
	done
	finish ;;
upstream | threads) "$1"; finish ;;
esac
if [ $# -gt 0 ] && [ "$1" != quick ]; then
	args=()
	for s in "$@"; do args+=(--suite "$s"); done
	[ "$1" = interop ] && args+=(--verbose) # its figures are the point
	run build plain "${args[@]}"
	finish
fi
build_asan() { build build-asan "${asan_options[@]}"; }
build_clang() { CC=clang build build-clang -Dwerror=true; }
build_cov() { build build-cov -Db_coverage=true -Dbuildtype=debug; }

# While the tests wait for packets the other builds are made, at the lowest priority; what fails is said when its turn comes.
elsewhere() {
	renice -n 19 "$BASHPID"
	build_asan
	! command -v clang || build_clang
	build_cov
}
if [ "${1:-}" != quick ]; then
	elsewhere >/dev/null 2>&1 &
	others=$!
	trap 'kill "$others" 2>/dev/null' EXIT
fi
run build plain
check "shell scripts (shellcheck)" shellcheck -S warning tools/setup.sh tools/demo.sh tools/smolmix.bash tests/run.sh .ci/run
[ "${1:-}" = quick ] && finish
wait "$others"

say "address and undefined-behaviour sanitizers"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
check "build with ASan and UBSan" build_asan
run build-asan sanitizers --suite unit --suite kat --suite sim --suite fuzz --timeout-multiplier 5
unset ASAN_OPTIONS UBSAN_OPTIONS
check "hostile peers" env SMOLMIX_BUILD="$PWD/build" SMOLMIX_CLIENT="$PWD/build-asan" python3 tests/e2e/e_hostile.py

say "clang"
if command -v clang >/dev/null; then
	check "build with clang" build_clang
else
	skipped=$((skipped + 1))
	notes+=("skipped: build with clang: clang is not installed")
fi

say "coverage of the engines"
coverage() {
	build_cov && meson test -C build-cov --no-rebuild --suite unit --suite kat --suite sim --suite fuzz \
		--timeout-multiplier 5 >/dev/null 2>&1
	python3 tests/lint/coverage.py build-cov
}
check "line coverage of the engines >= 90 %" coverage
finish
