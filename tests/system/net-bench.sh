#!/bin/sh
# SPDX-License-Identifier: MIT
# pvsplit network-bench: what it refuses, that it counts what is sent, lost and
# sent back, that it keeps to a rate, how it ends.
. "${0%/*}/lib.sh"
requires_root
requires_cmd ip iproute2

PVSPLIT_RUN=$RUN
export PVSPLIT_RUN
bench="pvsplit network-bench"

# near KEY LOW HIGH: is its number in the last run within these?
near() {
	value=$(json_number "$1")
	[ "$value" -ge "$2" ] && [ "$value" -le "$3" ]
}

# json ARGS...: a run, its result in $TMP/json.
json() {
	timeout 20 $bench "$@" --json >"$TMP/json"
}

start_daemon brokerd --run-dir "$RUN" || finish
check "three domains" sh -c "pvsplit domain-create network &&
	pvsplit domain-create g && pvsplit domain-create h"
start_daemon netbackd --run-dir "$RUN" --domain 1 --nic null || finish
netbackd=$PID
check "interfaces" sh -c "pvsplit network-attach g vif=0,bridge=one &&
	pvsplit network-attach h mac=00:16:3e:00:00:0b,vif=0,bridge=one &&
	pvsplit network-attach h vif=1,bridge=other"

# ---- wrong input
check_refusal "no interface" 2 "DOMAIN and VIF, or --vif" $bench
check_refusal "an interface and --vif" 2 "DOMAIN and VIF, or --vif" \
	$bench g 0 --vif bridge=one
check_refusal "nobody to send to" 2 "whom to send to" $bench g 0
check_refusal "an unknown domain" 1 "does not exist" $bench nobody 0
check_refusal "an unknown interface" 1 "network-attach" \
	$bench g 7 --peer h:0
check_refusal "a peer without a number" 2 "DOMAIN:VIF" $bench g 0 --peer h
check_refusal "an unknown mode" 2 "echo or reflect" $bench g 0 --mode fly
check_refusal "a frame too small" 2 "from 64 to 65535" \
	$bench g 0 --peer h:0 --size 1500,63
check_refusal "a rate without a unit" 2 "such as 10Mb/s" \
	$bench g 0 --peer h:0 --rate 10Mb
check_refusal "a rate of nothing" 2 "such as 10Mb/s" \
	$bench g 0 --peer h:0 --rate 0
check_refusal "too many flows" 2 "from 1 to 1024" \
	$bench g 0 --peer h:0 --flows 1025
check_refusal "a bound of what nobody counts" 2 "nobody counts" \
	$bench g 0 --to ff:ff:ff:ff:ff:ff --max-loss 1
check_refusal "a loss of more than all" 2 "percent" \
	$bench g 0 --peer h:0 --max-loss 101
check_refusal "a receiver with somebody to send to" 2 "only modes send" \
	$bench g 0 --peer h:0 --mode receive
check_refusal "two of one address" 1 "there will be two" \
	$bench --vif mac=00:16:3e:00:00:01
check_refusal "interfaces that do not reach each other" 1 "on one bridge" \
	$bench g 0 --peer h:1

# ---- counting
check "frames of several sizes and flows, at a rate" \
	json g 0 --peer h:0 --count 10000 --rate 20K --size imix --flows 7
check_output "as many as asked for" 10000 json_number frames
check "those that did not come are lost" sh -c "
	sent=\$(sed -n 's/.*\"frames\": \([0-9]*\).*/\1/p' '$TMP/json')
	set -- \$sent \$(sed -n 's/.*\"lost\": \([0-9]*\).*/\1/p' '$TMP/json')
	[ \$1 -eq \$((\$2 + \$3)) ]"
check_output "none came out of order" 0 json_number reordered
check "in no less time than that takes" near frames-per-second 0 20500
check "bits a second" json g 0 --peer h:0 --runtime 1 --rate 8Mb/s --size 1000
check "so many of them" near bytes 500000 1050000
check "there and back, on two queues" json g 0 --peer h:0 --mode echo \
	--count 2000 --depth 8 --queues 2 --flows 16 --size 64,9000
check_output "each of them" 0 json_number lost
check "and how long it took" near max 1 20000000000
check "polling" json g 0 --peer h:0 --mode echo --count 100 --poll
check "interfaces of its own" json --vif bridge=new --count 100 --rate 1000
check_output "on which nothing is lost" 0 json_number lost
check_fails "no domain is left of them" \
	sh -c "pvsplit domain-list | grep bench"

# ---- loss
check "a limit" pvsplit network-limit h 0 --rx-packets 100 --burst 1
check_refusal "more loss than allowed" 1 "were lost, more than 5 %" \
	$bench g 0 --peer h:0 --count 1000 --rate 5K --max-loss 5
check "less is fine" \
	$bench g 0 --peer h:0 --count 1000 --rate 5K --max-loss 99.9
check "no limit" pvsplit network-limit h 0 --none

# ---- two programs, a worker's death, ends
timeout 20 $bench h 0 --mode receive --count 500 --json >"$TMP/json" &
pid=$!
sleep 0.5
check "sending to another program" $bench g 0 --to 00:16:3e:00:00:0b \
	--runtime 1 --rate 2K
wait $pid
check "which ends when it has enough" test $? -eq 0
check "and has not much more" near frames 500 700
$bench h 0 --mode reflect >"$TMP/log" 2>&1 &
pid=$!
sleep 0.5
check "echoes from another program" json g 0 --mode echo \
	--to 00:16:3e:00:00:0b --count 100
check_output "all of them" 0 json_number lost
kill -INT $pid
wait_for 5 process_gone $pid
wait $pid
check "interrupted it ends well" test $? -eq 0
check "with the figures so far" grep -q "sent .* 100 frames" "$TMP/log"
check "over a worker's death" sh -c "
	timeout 20 $bench g 0 --peer h:0 --rate 2K --runtime 2 --max-loss 50 &
	sleep 0.7
	kill -9 \$(pgrep -P $netbackd)
	wait \$!"
timeout 20 $bench g 0 --peer h:0 --runtime 600 >"$TMP/out" 2>&1 &
pid=$!
sleep 1
pvsplit network-detach g 0 >"$TMP/log"
wait_for 10 process_gone $pid
wait $pid
check "it fails when the interface is detached" test $? -eq 1
finish
