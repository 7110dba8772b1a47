# shellcheck shell=sh
# Read by the other scripts, not run: which flows are deployed, and of what source each of them is.
#
# The list ($FLOWS, or flows.txt) has one flow in a line: its id, and every file that it is made of. What a blank or # begins
# is left out. Whatever can change the flow belongs there, substitutions too, and nothing else does: by the digest of
# these files the gate knows again what was rolled back.

: "${ORG:?is not set: the name of the organization, as in organizations.yml}"
FLOWS=${FLOWS:-flows.txt}
# shellcheck disable=SC2034 # register.sh writes the deployment's id there, watch.sh reads it
DEPLOYMENT=${DEPLOYMENT:-deployment.id}
RETRY_PAUSE=${RETRY_PAUSE:-10}

say() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
}

cannot() {
    say "$1"
    exit 2
}

# Runs a command until it ends with something else than 3, which is rollbackctl's word for a receiver out of reach: six
# times at most. A receiver that is restarted is away for less than that.
try_again() {
    tries=1
    while :; do
        ended=0
        "$@" || ended=$?
        if [ "$ended" -ne 3 ] || [ "$tries" -ge 6 ]; then return "$ended"; fi
        tries=$((tries + 1))
        say "no receiver was reached; try $tries of 6 in $RETRY_PAUSE s"
        sleep "$RETRY_PAUSE"
    done
}

# Prints `--flow ID=DIGEST` for each flow. One file has its own SHA-256, several have that of their digests in order.
flow_options() {
    [ -r "$FLOWS" ] || cannot "$FLOWS cannot be read: it names the flows"
    named=
    while read -r id files || [ -n "$id" ]; do
        case $id in '' | '#'*) continue ;; esac
        [ -n "$files" ] || cannot "$FLOWS: no file is named for $id"
        # shellcheck disable=SC2086 # a word for each file
        sums=$(sha256sum -- $files) || cannot "$FLOWS: the files of $id cannot be read"
        digest=$(printf '%s\n' "$sums" | cut -d ' ' -f 1)
        case $digest in *[!0-9a-f]*) digest=$(printf '%s\n' "$digest" | sha256sum | cut -d ' ' -f 1) ;; esac
        printf '%s %s=%s\n' --flow "$id" "$digest"
        named=yes
    done < "$FLOWS"
    [ -n "$named" ] || cannot "$FLOWS names no flow"
}

# The id in the JSON of what was just made, which rollbackctl indents by two.
id_of() {
    printf '%s\n' "$1" | sed -n 's/^  "id": "\([^"]*\)".*/\1/p'
}
