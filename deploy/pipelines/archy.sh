#!/bin/sh
# Publishes each flow of the list with Archy: the first file of its line, in the order of the list, until one fails.
#
# Archy reads the secret from an options file that only this user can read, and that is gone afterwards: a command line
# can be seen by every user of the machine. ARCHY_OPTIONS may name an options file of yours, with substitutions.
set -eu
. "$(dirname "$0")/flows.sh"

: "${ARCHY_CLIENT_ID:?is not set}" "${ARCHY_CLIENT_SECRET:?is not set}" "${ARCHY_LOCATION:?is not set: mypurecloud.ie}"
umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# In YAML a quote within quotes is doubled.
quoted() {
    printf "%s: '%s'\n" "$1" "$(printf '%s\n' "$2" | sed "s/'/''/g")"
}

{
    [ -z "${ARCHY_OPTIONS:-}" ] || cat "$ARCHY_OPTIONS"
    echo
    quoted clientId "$ARCHY_CLIENT_ID"
    quoted clientSecret "$ARCHY_CLIENT_SECRET"
    quoted location "$ARCHY_LOCATION"
} > "$folder/options.yaml"

while read -r id files || [ -n "$id" ]; do
    case $id in '' | '#'*) continue ;; esac
    # shellcheck disable=SC2086 # a word for each file
    set -- $files
    archy publish --file "${1:?no file is named for $id}" --optionsFile "$folder/options.yaml" < /dev/null
done < "$FLOWS"
