#!/bin/sh
# Times of all-reduces and pipelines beside those of SimGrid's SMPI, an independent simulator of MPI programs, with its
# factors for real networks off and one message at a time on a link, but for a fair medium. Optional: where it is not
# installed (Debian: libsimgrid-dev) the test is skipped.
# usage: smpi.sh CASES SOURCE
set -eu
cases=$1 source=$2
if ! command -v smpicc >/dev/null || ! command -v smpirun >/dev/null; then
    echo "skipped: no smpicc and smpirun (Debian: libsimgrid-dev)"
    exit 77
fi
t=$(mktemp -d)
trap 'rm -rf "$t"' EXIT
smpicc -std=gnu11 -O1 -o "$t/play" "$source/tests/oracle/play.c"
for cluster in boards-1gbe:private boards-1gbe:fifo northpole-16:private h100-sxm-8:private h100-sxm-8:fifo \
    boards-1gbe:fluid northpole-16:fluid h100-sxm-8:fluid; do
    "$cases" "$source/cluster-configs/${cluster%:*}.yaml" "${cluster#*:}" "$t"
    echo "${cluster%:*}, links ${cluster#*:}, simulated"
    if [ "${cluster#*:}" = fluid ]; then at_once=-1; else at_once=1; fi # -1: any number
    smpirun -np 8 -platform "$t/platform.xml" -hostfile "$t/hosts" --log=root.thres:warning \
        --cfg=network/model:CM02 --cfg=network/crosstraffic:0 --cfg=network/TCP-gamma:0 --cfg=network/weight-S:0 \
        --cfg=maxmin/concurrency-limit:$at_once --cfg=surf/precision:1e-13 --cfg=smpi/simulate-computation:no \
        --cfg=smpi/wtime:0 \
        --cfg=smpi/async-small-thresh:100000000 --cfg=smpi/send-is-detached-thresh:100000000 \
        $(cat "$t/flags") "$t/play" "$t/cases"
done
