#!/bin/sh
# A client for a process a case (level 0): curl, sed and awk. Exit status 0 says that the job completed and its video was
# fetched. A create follows no redirect: where a connection that it has used before breaks, curl sends again, be it a POST.
# The case comes in the environment: COMETAPI_BASE_URL, COMETAPI_KEY, MOCKVEO_PROMPT and so on.
set -eu
# In the directory of the call, which the check removes even if this is killed.
place=$(mktemp -d "${MOCKVEO_STATE_DIR:-/tmp}/curl.XXXXXX")
trap 'rm -rf "$place"' EXIT
url=$COMETAPI_BASE_URL/videos
pause=${MOCKVEO_POLL_INTERVAL_S:-15}

now() { date +%s.%N; }
# With all digits: some awks write large numbers with few.
sum() { awk -v OFMT=%.3f "BEGIN { print $1 }"; }
is() { awk "BEGIN { exit !($1) }"; }
end=$(sum "$(now) + ${MOCKVEO_DEADLINE_S:-600}")
# Not echo: that of dash reads backslashes as escapes.
fail() { printf '%s\n' "$*" >&2; exit 1; }

# ask ARGUMENT...: $status is that of the answer, 000 where none came, $body its body.
ask() {
  left=$(sum "$end - $(now)")
  is "$left > 2" || left=2
  : >"$place/body"
  : >"$place/head"
  # From stdin, as the arguments of a process are no secret.
  status=$(printf 'header = "Authorization: Bearer %s"' "$COMETAPI_KEY" | curl --silent --config - \
    --max-time "$left" --dump-header "$place/head" --output "$place/body" --write-out '%{http_code}' "$@") || status=000
}
header() { tr -d '\r' <"$place/head" | sed -n "s/^$1: *//Ip" | tail -n 1; }
value() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$place/body"; }
# Whether the body is an object to its end: neither a page nor half an object is.
whole() { case $(cat "$place/body") in "{"*"}") true ;; *) false ;; esac; }
passing() {
  case $status in
    000 | 408 | 425 | 429 | 500 | 502 | 504 | 52[0-9]) true ;;
    503) ! grep -q model_not_found "$place/body" ;;
    *) false ;;
  esac
}

# rest SECONDS: waits, unless the deadline comes first.
rest() {
  ! is "$(now) + $1 > $end" || fail "the deadline passed"
  sleep "$1"
}
# back_off TIMES: as long as the answer asks for, or longer with each time.
back_off() {
  asked=$(header retry-after)
  case $asked in
    "") asked=0 ;;
    *[!0-9.]*) asked=$(($(date -d "$asked" +%s) - $(date -d "$(header date)" +%s))) ;;
  esac
  own=$(sum "$pause * 2 ^ $1")
  if is "$asked > $own"; then rest "$asked"; else rest "$own"; fi
}

set -- --form-string "prompt=$MOCKVEO_PROMPT"
[ -z "${MOCKVEO_MODEL+x}" ] || set -- "$@" --form-string "model=$MOCKVEO_MODEL"
[ -z "${MOCKVEO_SIZE+x}" ] || set -- "$@" --form-string "size=$MOCKVEO_SIZE"
IFS=:
for image in ${MOCKVEO_IMAGES:-}; do
  case $image in *.png) type=image/png ;; *) type=image/jpeg ;; esac
  set -- "$@" --form "input_reference=@\"$(printf %s "$image" | sed 's/["\\]/\\&/g')\";type=$type"
done
unset IFS

# What an earlier start of the same call has kept: the answer to its create, or that it has sent one.
kept=${MOCKVEO_STATE_DIR:+$MOCKVEO_STATE_DIR/job.json}
keep() {
  [ -z "$kept" ] || { cp "$1" "$kept.new" && sync "$kept.new" && mv "$kept.new" "$kept"; }
}

troubles=0
if [ -n "$kept" ] && [ -s "$kept" ]; then
  cp "$kept" "$place/body"
  status=200
elif [ -n "$kept" ] && [ -e "$kept" ]; then
  fail "the create was sent before, and its answer was lost: a job may exist"
else
  keep /dev/null
  status=
fi
while [ "$status" != 200 ] && ask "$@" "$url"; do
  [ "$status" != 200 ] || break
  # Each create is paid for: it is sent again only where the first was certainly not applied.
  case $status in 408 | 425 | 429 | 503) passing || fail "$(cat "$place/body")" ;; *) fail "$status $(cat "$place/body")" ;; esac
  back_off "$troubles"
  troubles=$((troubles + 1))
done
whole || fail "the create was answered with no job"
id=$(value id)
state=$(value status)
[ -n "$id" ] || fail "the create was answered with no job"
keep "$place/body"
segment=$(printf %s "$id" | sed 's/%/%25/g; s/?/%3F/g; s/#/%23/g')

troubles=0
while :; do
  case $state in
    completed) break ;;
    failed | error) fail "$(cat "$place/body")" ;;
  esac
  [ "$troubles" -gt 0 ] || rest "$pause"
  ask --location "$url/$segment"
  if [ "$status" = 200 ] && whole && [ -n "$(value status)" ]; then
    state=$(value status)
    troubles=0
    continue
  fi
  passing || [ "$status" = 200 ] || { grep -q task_not_exist "$place/body" && [ "$troubles" -lt 6 ]; } ||
    fail "$status $(cat "$place/body")"
  back_off "$troubles"
  troubles=$((troubles + 1))
done

troubles=0
while ask --location "$url/$segment/content"; do
  # An MP4 has this word after the length of its first box.
  [ "$status" != 200 ] || [ "$(dd if="$place/body" bs=1 skip=4 count=4 2>/dev/null)" != ftyp ] || break
  { passing || [ "$status" = 200 ]; } && [ "$troubles" -lt 6 ] || fail "the video could not be fetched: $status"
  back_off "$troubles"
  troubles=$((troubles + 1))
done
[ -z "${MOCKVEO_OUTPUT:-}" ] || mv "$place/body" "$MOCKVEO_OUTPUT"
