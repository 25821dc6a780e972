#!/bin/sh
jq -r '.[] | "\(.name)\t\(.size)"' | column -t
