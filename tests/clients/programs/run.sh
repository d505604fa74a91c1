#!/bin/sh
# A correct client with curl at level 0 of the client protocol: its case is in the environment.
set -u

now() { date +%s.%N | sed 's/\.N$//'; } # whole seconds where date has no others
began=$(now)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

quit() { echo "$1" >&2; exit 1; }
value() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$folder/answer"; }
ask() { # curl's own arguments; sets $status, 000 where the connection broke
  rm -f "$folder/answer" "$folder/head"
  touch "$folder/answer" "$folder/head"
  status=$(curl --silent --max-time "$MOCKVEO_DEADLINE_S" --header "Authorization: Bearer $COMETAPI_KEY" \
    --dump-header "$folder/head" --output "$folder/answer" --write-out '%{http_code}' "$@") || status=000
}
whole() { case $(tail -c 1 "$folder/answer") in "}") [ -n "$(value id)" ] ;; *) false ;; esac; }
pause() { # waits for Retry-After if present, else for a growing while; gives up at the deadline
  wait=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([^\r]*\).*/\1/p' "$folder/head" | tr -d '\r')
  case $wait in *GMT) wait=$(($(date -d "$wait" +%s) - $(date +%s))) ;; esac
  long=$(awk "BEGIN { print (${wait:-0} > $interval) ? ${wait:-0} : $interval }")
  awk "BEGIN { exit !($(now) - $began + $long < $MOCKVEO_DEADLINE_S) }" || quit "no time is left: $(value message)"
  sleep "$long"
  interval=$(awk "BEGIN { print $interval * 1.5 }")
}

interval=$MOCKVEO_POLL_INTERVAL_S
set -- --form-string "prompt=$MOCKVEO_PROMPT"
[ -z "${MOCKVEO_MODEL+x}" ] || set -- "$@" --form-string "model=$MOCKVEO_MODEL"
[ -z "${MOCKVEO_SIZE+x}" ] || set -- "$@" --form-string "size=$MOCKVEO_SIZE"
IFS=:
for image in ${MOCKVEO_IMAGES:-}; do
  set -- "$@" --form "input_reference=@\"$(printf '%s' "$image" | sed 's/[\\"]/\\&/g')\""
done
unset IFS

while :; do
  ask "$@" "$COMETAPI_BASE_URL/videos"
  case $status in
    200) break ;;
    429) pause ;;
    *) quit "the create was answered $status: $(value message)" ;;
  esac
done
id=$(value id)
[ -n "$id" ] || quit "the create was answered without an id"

state=$(value status)
while :; do
  interval=$MOCKVEO_POLL_INTERVAL_S
  case $state in
    completed) break ;;
    failed | error) quit "the job failed: $(value message)" ;;
  esac
  : >"$folder/head"
  pause
  ask "$COMETAPI_BASE_URL/videos/$id"
  while [ "$status" = 000 ] || [ "$status" = 429 ] || [ "$status" -ge 500 ] || { [ "$status" = 200 ] && ! whole; }; do
    pause
    ask "$COMETAPI_BASE_URL/videos/$id"
  done
  [ "$status" = 200 ] || quit "the poll was answered $status: $(value message)"
  state=$(value status)
done
