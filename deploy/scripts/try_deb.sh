#!/usr/bin/env bash
# Tries dist/cxr-node_*.deb in a root file system of Debian: install, a phantom and its report, upgrade to itself, remove, purge.
# Needs root, mmdebstrap (apt-get install mmdebstrap) and DCMTK here. SUITE is that of the package, bookworm by default.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=${SUITE:-bookworm}
package=$(ls dist/cxr-node_*.deb)
root=$PWD/build/try-deb
for program in mmdebstrap storescu; do
  command -v "$program" >/dev/null || { echo "not tried: $program is missing"; exit 3; }
done
as_node() { chroot "$root" runuser -u cxr-node -- env HOME=/var/lib/cxr-node "$@"; }
trap 'umount -l "$root/proc" "$root/dev" 2>/dev/null || true; rm -rf "$root"' EXIT

rm -rf "$root"
mkdir -p build
mmdebstrap --quiet --variant=minbase --include=dcmtk,procps,python3,systemd "$suite" "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
cp "$package" "$root/srv/"
cp deploy/scripts/try_node.py "$root/srv/"
echo "installing ..."
chroot "$root" apt-get install -y -qq --no-install-recommends "/srv/$(basename "$package")" >/dev/null
chroot "$root" systemd-analyze verify cxr-node.service
stat -c '%U %a %n' "$root/var/lib/cxr-node" "$root/etc/cxr-node"
as_node python3 /srv/try_node.py /usr/bin/cxr-node
echo "installing again, as an upgrade does ..."
chroot "$root" dpkg -i "/srv/$(basename "$package")" >/dev/null
as_node cxr-node --version
echo "removing ..."
chroot "$root" dpkg --remove cxr-node
test ! -e "$root/opt/cxr-node" || { find "$root/opt/cxr-node" | head; echo "files are left in /opt/cxr-node"; exit 1; }
test -d "$root/var/lib/cxr-node"
chroot "$root" dpkg --purge cxr-node
echo "the package was installed, worked, and was removed"
