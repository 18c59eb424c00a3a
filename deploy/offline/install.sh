#!/bin/sh
# Installs cxr-node from this folder, without a network: sh install.sh [FOLDER]; FOLDER is /opt/cxr-node by default.
# Needs the Python that PYTHON names (below), with its venv module; on Debian: apt-get install python3-venv.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-/opt/cxr-node}
target=${target%/}
python=${PYTHON:-python3}

wanted=$(cat "$here/python-version")
present=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$wanted" != "$present" ]; then
    echo "these packages are for Python $wanted, and $python is $present: name another one with PYTHON=" >&2
    exit 1
fi
if [ -e "$target/bin" ] && [ ! -x "$target/bin/cxr-node" ]; then
    echo "$target has another content: name another folder" >&2
    exit 1
fi
# These are moved or removed below: environments of this script, or empty.
for folder in "$target" "$target.new" "$target.old"; do
    if [ -e "$folder" ] && [ ! -e "$folder/pyvenv.cfg" ] && [ -n "$(ls -A "$folder")" ]; then
        echo "$folder has another content: name another folder, or move it away" >&2
        exit 1
    fi
done
echo "checking the files ..."
(cd "$here" && sha256sum --check --quiet SHA256SUMS)

# The new version is complete before it takes the place of the old one, which stays as FOLDER.old: to go back, rename it.
new=$target.new
rm -rf "$new"
echo "installing into $target ..."
"$python" -m venv "$new"
# No configuration of pip: only these files, each with its hash.
PIP_CONFIG_FILE=/dev/null "$new/bin/python" -m pip --isolated --disable-pip-version-check install --quiet --no-compile --no-index \
    --find-links "$here/wheelhouse" --require-hashes --requirement "$here/requirements.txt"
# The commands of the environment name its folder.
find "$new/bin" -type f -exec grep -IlZ "$new" {} + | xargs -0 sed -i "s#$new#$target#g"
if [ -e "$target" ]; then
    rm -rf "$target.old"
    mv "$target" "$target.old"
fi
mv "$new" "$target"
# The node's user may not write here, and would compile every module at each start. COMPILE=no: whoever packs it does so.
if [ "${COMPILE:-yes}" = yes ]; then
    "$target/bin/python" -m compileall -q "$target/lib" >/dev/null 2>&1 || true
fi
"$target/bin/cxr-node" --version
echo "next: $target/bin/cxr-node init; with systemd: $here/systemd, see docs/how-to/install.md"
