#!/bin/sh
# The whole flow with curl: curl.sh PROMPT OUTPUT [IMAGE...]
set -eu

prompt=$1 output=$2
shift 2
for image do # the images become the arguments of curl, in their order
  shift
  set -- "$@" --form "input_reference=@\"$image\""
done

ask() { curl --silent --show-error --fail --header "Authorization: Bearer $COMETAPI_KEY" "$@"; }
value() { printf '%s' "$1" | sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p"; }

# --form would read a file where the prompt begins with @ or <, and cut it at a semicolon; --form-string does not.
job=$(ask --form-string "prompt=$prompt" --form-string "model=veo3-fast" "$@" "$COMETAPI_BASE_URL/videos")
id=$(value "$job" id)
status=$(value "$job" status)
statuses=\"$status\"
while [ "$status" = queued ] || [ "$status" = in_progress ]; do
  sleep 0.05
  status=$(value "$(ask "$COMETAPI_BASE_URL/videos/$id")" status)
  statuses="$statuses, \"$status\""
done
ask --output "$output" "$COMETAPI_BASE_URL/videos/$id/content"
printf '{"id": "%s", "statuses": [%s], "path": "%s"}\n' "$id" "$statuses" "$output"
