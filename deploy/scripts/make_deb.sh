#!/usr/bin/env bash
# Writes dist/cxr-node_VERSION_amd64.deb from the archive of `make offline`: a virtual environment in /opt/cxr-node, the unit,
# its user and folders. PYTHON must be the minor version of the Debian release that the package is for.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
archive=$(ls dist/cxr-node-*-offline-cpu-*.tar)
version=$(basename "$archive" | sed 's/^cxr-node-\(.*\)-offline.*/\1/')
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
root=build/deb/root

rm -rf build/deb
mkdir -p build/deb/bundle "$root/opt" "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" \
  "$root/usr/lib/tmpfiles.d" "$root/usr/share/doc/cxr-node" "$root/usr/bin" "$root/usr/sbin" "$root/DEBIAN"
tar --extract --file "$archive" --directory build/deb/bundle --strip-components 1
COMPILE=no PYTHON=$python sh build/deb/bundle/install.sh "$PWD/$root/opt/cxr-node" >/dev/null
environment=$root/opt/cxr-node
# Places of this build: in the commands, and in the links to Python.
find "$environment" -name '*.pyc' -delete
find "$environment/bin" -type f -exec grep -IlZ "$PWD/$root" {} + | xargs -0 sed -i "s#$PWD/$root##g"
ln -sf "/usr/bin/python3.$minor" "$environment/bin/python3"
printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.%s\n' "$minor" >"$environment/pyvenv.cfg"
rm -rf "$environment"/lib/python3.*/site-packages/{pip,pip-*.dist-info} "$environment"/bin/pip* "$environment/bin/"*ctivate*
find "$environment" -name direct_url.json -delete

cp deploy/systemd/cxr-node.service "$root/usr/lib/systemd/system/"
cp deploy/systemd/cxr-node.sysusers.conf "$root/usr/lib/sysusers.d/cxr-node.conf"
cp deploy/systemd/cxr-node.tmpfiles.conf "$root/usr/lib/tmpfiles.d/cxr-node.conf"
ln -s /opt/cxr-node/bin/cxr-node "$root/usr/bin/cxr-node"
install -m 755 deploy/debian/cxr-node-admin "$root/usr/sbin/"
documents=$root/usr/share/doc/cxr-node
cp config.example.toml deploy/systemd/gpu.conf deploy/systemd/settings-page.conf "$documents/"
cat NOTICE.md LICENSE >"$documents/copyright"
gzip -9n <CHANGELOG.md >"$documents/changelog.gz"
install -m 755 deploy/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
sed -e "s/@VERSION@/$version/" -e "s/@PYTHON@/3.$minor/" -e "s/@NEXT_PYTHON@/3.$((minor + 1))/" \
  -e "s/@SIZE@/$(du -sk --exclude DEBIAN "$root" | cut -f1)/" deploy/debian/control >"$root/DEBIAN/control"
chmod -R u=rwX,go=rX "$root"
chmod 755 "$root"/DEBIAN/p*
(cd "$root" && find opt usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
dpkg-deb --root-owner-group -Zzstd -z3 --build "$root" "dist/cxr-node_${version}_amd64.deb"
rm -rf build/deb
