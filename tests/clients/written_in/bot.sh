#!/bin/sh
# A program with the URL of the real service written in, which calls curl in pipelines.
url=https://api.cometapi.com/v1/videos
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
answer=$(curl --silent --show-error --header "Authorization: Bearer $COMETAPI_KEY" --form prompt='A paper kite.' $url | cat)
id=$(echo "$answer" | field id)
status=$(echo "$answer" | field status)
while [ "$status" = queued ] || [ "$status" = in_progress ]; do
  sleep 0.05
  status=$(curl --silent --show-error --header "Authorization: Bearer $COMETAPI_KEY" "$url/$id" | field status)
done
echo "$status"
