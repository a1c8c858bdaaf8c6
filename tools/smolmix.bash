# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2207
# Completion for bash: options as --help names them, the values of some, then the command with its own completion.

_smolmix_options() { # program
	"$1" --help 2>/dev/null | grep -Eo '^ +(-., )?--[a-z-]+' | grep -Eo -e '--[a-z-]+'
}

_smolmix_takes_value() { # program, option
	[[ $2 == --* ]] && "$1" --help 2>/dev/null | grep -Eq -e "^ +(-., )?$2 [A-Z0-9]"
}

_smolmix_value() { # option, what has been typed
	case $1 in
	--profile) COMPREPLY=($(compgen -W 'default fast no-poisson' -- "$2")) ;;
	--exit) COMPREPLY=($(compgen -W 'auto random country:' -- "$2")) ;;
	--network) COMPREPLY=($(compgen -W 'mainnet sandbox canary' -- "$2") $(compgen -f -- "$2")) ;;
	--config | --stats-json | --control) COMPREPLY=($(compgen -f -- "$2")) ;;
	esac
}

_smolmix_run() {
	local cur=${COMP_WORDS[COMP_CWORD]} at=1 ended=
	while [ "$at" -lt "$COMP_CWORD" ] && [ -z "$ended" ]; do
		case ${COMP_WORDS[at]} in
		--) ended=1 ;;
		-*) ! _smolmix_takes_value "$1" "${COMP_WORDS[at]}" || at=$((at + 1)) ;;
		*) break ;;
		esac
		at=$((at + 1))
	done
	if [ "$at" -gt "$COMP_CWORD" ]; then
		_smolmix_value "${COMP_WORDS[COMP_CWORD - 1]}" "$cur"
	elif [ "$at" -lt "$COMP_CWORD" ] && declare -F _command_offset >/dev/null; then
		_command_offset "$at"
	elif [ "$at" -lt "$COMP_CWORD" ]; then
		COMPREPLY=($(compgen -f -- "$cur"))
	elif [[ $cur == -* && -z $ended ]]; then
		COMPREPLY=($(compgen -W "$(_smolmix_options "$1")" -- "$cur"))
	else
		COMPREPLY=($(compgen -c -- "$cur"))
	fi
}

_smolmix_localnet() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	if _smolmix_takes_value "$1" "$prev"; then
		_smolmix_value "$prev" "$cur"
	else
		COMPREPLY=($(compgen -W "$(_smolmix_options "$1")" -- "$cur"))
	fi
}

complete -o filenames -F _smolmix_run smolmix-run
complete -F _smolmix_localnet smolmix-localnet
