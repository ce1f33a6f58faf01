#!/usr/bin/env bash
# Runs the tests of package external that are named Gluster on a replicated GlusterFS volume: two bricks, and two clients
# that mount it by FUSE. It runs as root and needs glusterd (Debian: apt-get install glusterfs-server; Debian starts no
# service by that), util-linux, iproute2, /dev/fuse and go. It is not part of .ci/run.
#
# Everything lives in namespaces of its own: the network is a loopback device, the names of the host, the state and the
# logs of glusterd are mounted over, and the processes end with the first of them, which has two minutes. So nothing of it can be
# reached from elsewhere, and nothing is left, however it ends.
set -euo pipefail

if [[ ${1-} != inside ]]; then
	cd "$(dirname "$0")"
	for tool in glusterd gluster mount.glusterfs unshare ip go; do
		command -v "$tool" >/dev/null || { echo "needs $tool: apt-get install glusterfs-server util-linux iproute2" >&2; exit 2; }
	done
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	CGO_ENABLED=0 go test -c -o "$dir/external.test" .
	timeout --kill-after=5 120 unshare --mount --net --uts --ipc --pid --fork --kill-child \
		bash "$PWD/${0##*/}" inside "$dir" "$@"
	exit
fi

dir=$2
shift 2
mount --make-rprivate /
mount -t proc proc /proc
hostname gluster
ip link set lo up
ip address add 192.0.2.1/32 dev lo # of TEST-NET-1; glusterd takes no loopback address for a brick
printf '127.0.0.1 localhost\n192.0.2.1 gluster\n' >"$dir/hosts"
mount --bind "$dir/hosts" /etc/hosts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib/glusterd
mount -t tmpfs tmpfs /var/log/glusterfs
mkdir -p /run/gluster "$dir"/{bricks,a,b}
mount -t tmpfs tmpfs "$dir/bricks"

up=
trap '[[ $up ]] || tail -n 20 /var/log/glusterfs/*.log >&2' EXIT

glusterd --no-daemon &
for ((i = 0; ; i++)); do
	gluster --mode=script pool list >/dev/null 2>&1 && break
	((i < 100)) || { echo "glusterd does not answer" >&2; exit 1; }
	sleep 0.1
done
gluster --mode=script volume create v replica 2 gluster:"$dir"/bricks/{0,1} force
# Else the client answers for a second from a cache of its own, whatever the kernel asks.
gluster --mode=script volume set v performance.stat-prefetch off
gluster --mode=script volume start v
mount -t glusterfs gluster:/v "$dir/a"
mount -t glusterfs gluster:/v "$dir/b"
up=yes
glusterfs --version | head -n 1

MMAPSNAPSHOT_GLUSTER=$dir/a:$dir/b "$dir/external.test" -test.v -test.run Gluster "$@"
