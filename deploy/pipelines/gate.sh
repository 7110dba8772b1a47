#!/bin/sh
# May these flows be published now? Ends the job before anything is deployed: 1 refused, 2 nobody can tell.
set -eu
. "$(dirname "$0")/flows.sh"

options=$(flow_options) || exit 2
status=0
# shellcheck disable=SC2086 # words
rollbackctl gate --org "$ORG" $options || status=$?
case $status in
    0) ;;
    1) say 'the bridge refuses it: nothing is deployed' ;;
    *) cannot 'nobody can tell whether it may be published: nothing is deployed' ;;
esac
exit "$status"
