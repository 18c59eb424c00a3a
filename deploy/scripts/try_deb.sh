#!/usr/bin/env bash
# Tries dist/cxr-node_*.deb in a root file system of Debian: install, a phantom and its report, upgrade to itself, remove, purge.
# With podman the root is booted too, and systemd runs the unit (try_unit.sh); without it, a line says that this was not tried.
# Needs root; on Debian 12: apt-get install --no-install-recommends mmdebstrap dcmtk podman runc
# SUITE is that of the package, bookworm by default.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=${SUITE:-bookworm}
package=$(ls dist/cxr-node_*.deb)
root=$PWD/build/try-deb
for program in mmdebstrap storescu; do
  command -v "$program" >/dev/null || { echo "not tried: $program is missing"; exit 3; }
done
as_node() { chroot "$root" runuser -u cxr-node -- env HOME=/var/lib/cxr-node "$@"; }
container=cxr-node-unit-$$
trap 'podman rm --force --time 0 "$container" >/dev/null 2>&1 || true; umount -l "$root/proc" "$root/dev" 2>/dev/null || true; rm -rf "$root"' EXIT

rm -rf "$root"
mkdir -p build
mmdebstrap --quiet --variant=minbase --include=dcmtk,procps,python3,systemd,systemd-sysv,dbus "$suite" "$root"
cp "$package" deploy/scripts/try_node.py deploy/scripts/try_unit.sh "$root/srv/"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
echo "installing ..."
chroot "$root" apt-get install -y -qq --no-install-recommends "/srv/$(basename "$package")" >/dev/null
chroot "$root" systemd-analyze verify cxr-node.service
stat -c '%U %a %n' "$root/var/lib/cxr-node" "$root/etc/cxr-node"
as_node python3 /srv/try_node.py /usr/bin/cxr-node
if command -v podman >/dev/null && command -v runc >/dev/null; then
  echo "booting ..."
  umount -l "$root/proc" "$root/dev"
  in_container() { podman --runtime runc "$@"; }
  in_container run --detach --name "$container" --privileged --systemd always --network none \
    --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096 --rootfs "$root" /sbin/init >/dev/null
  # systemd leaves this to whoever starts it in a container; credentials reach the units by it.
  in_container exec "$container" mount --make-rshared /
  in_container exec "$container" systemctl is-system-running --wait
  in_container exec "$container" bash /srv/try_unit.sh "/srv/$(basename "$package")"
  podman rm --force --time 10 "$container" >/dev/null
  mount -t proc proc "$root/proc"
  mount --bind /dev "$root/dev"
else
  echo "not tried: the unit under systemd; podman or runc is missing"
  echo "installing again, as an upgrade does ..."
  chroot "$root" dpkg -i "/srv/$(basename "$package")" >/dev/null
  as_node cxr-node --version
  echo "removing ..."
  chroot "$root" dpkg --remove cxr-node
fi
test ! -e "$root/opt/cxr-node" || { find "$root/opt/cxr-node" | head; echo "files are left in /opt/cxr-node"; exit 1; }
test -d "$root/var/lib/cxr-node"
chroot "$root" dpkg --purge cxr-node
echo "the package was installed, worked, and was removed"
