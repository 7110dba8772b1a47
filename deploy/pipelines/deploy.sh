#!/bin/sh
# Runs the command that deploys, and ends as it does.
#
#   deploy.sh COMMAND [ARGUMENT…]
#
# WINDOW=20m opens a maintenance window meanwhile, in which nothing is rolled back: only for work that is expected to
# make callers fail. It is closed before this ends, whatever becomes of the command, so that the bridge is armed when the
# new versions are watched. After a SIGKILL it ends by itself.
set -eu
. "$(dirname "$0")/flows.sh"

# The owner of the window, by which it is found also when its id has not arrived.
mark=
# What the receiver has said of the window; empty if nobody knows whether it was opened.
made=
# What is left of it, for a person.
left=

# Closes what bears the mark: 0 none is open any more. 3 nobody was reached.
close_marked() {
    listed=$(rollbackctl --output json maintenance list --org "$ORG") || return
    for id in $(printf '%s\n' "$listed" | sed -n '/^      "id": /{s/^ *"id": "\([^"]*\)".*/\1/;h;}
        /^      "owner": "'"$mark"'"/{g;p;}'); do
        left=$id
        rollbackctl maintenance close "$id" > /dev/null || return
    done
}

close_window() {
    status=$?
    trap '' HUP INT TERM
    left=$(id_of "$made")
    # An order whose answer was lost may still be under way.
    [ -n "$made" ] || sleep "$RETRY_PAUSE"
    if ! try_again close_marked; then
        say "the window may still be open, in which nothing is rolled back: rollbackctl maintenance close ${left:-ID}"
        [ -n "$left" ] || say "its id is that of the one with the owner $mark in: rollbackctl maintenance list"
        [ "$status" -ne 0 ] || status=2
    fi
    exit "$status"
}

[ $# -gt 0 ] || cannot 'say which command deploys'
if [ -n "${WINDOW:-}" ]; then
    options=$(flow_options) || exit 2
    flows=$(printf '%s\n' "$options" | sed 's/=[0-9a-f]*$//')
    mark="deploy.sh-$(uname -n)-$(date +%s)-$$"
    trap close_window EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # shellcheck disable=SC2086 # words
    made=$(rollbackctl --output json maintenance open --org "$ORG" $flows --for "$WINDOW" --owner "$mark" \
        --reason "${WINDOW_REASON:-deployment}") || cannot 'no window could be opened: nothing is deployed'
    [ -n "$(id_of "$made")" ] || cannot 'nobody knows whether a window was opened: nothing is deployed'
fi

"$@"
