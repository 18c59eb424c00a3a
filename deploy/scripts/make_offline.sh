#!/usr/bin/env bash
# Writes dist/cxr-node-VERSION-offline-....tar: wheels with hashes, settings example, units, and install.sh.
# Run by `make offline`, after `make dist`; PIP is pip of the Python that the archive is for.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
wheel=$(echo dist/cxr_node-*.whl)
version=$(basename "$wheel" | cut -d- -f2)
tag=$("$python" -c 'import platform, sys; print("cp%d%d-%s" % (*sys.version_info[:2], platform.machine()))')
name=cxr-node-$version-offline-cpu-$tag
folder=build/offline/$name

rm -rf build/offline
mkdir -p "$folder/wheelhouse" "$folder/systemd"
"$python" -m venv build/offline/venv
build/offline/venv/bin/python -m pip --disable-pip-version-check download --quiet --only-binary :all: --require-hashes \
  --requirement deploy/requirements-cpu.txt --requirement deploy/requirements-extras.txt --dest "$folder/wheelhouse"
rm -rf build/offline/venv
cp "$wheel" "$folder/wheelhouse/"
{
  cat deploy/requirements-cpu.txt deploy/requirements-extras.txt
  printf 'cxr-node==%s \\\n    --hash=sha256:%s\n' "$version" "$(sha256sum "$wheel" | cut -d' ' -f1)"
} >"$folder/requirements.txt"
"$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' >"$folder/python-version"
cp deploy/offline/install.sh config.example.toml LICENSE NOTICE.md CHANGELOG.md "$folder/"
cp deploy/systemd/* "$folder/systemd/"
(cd "$folder" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
# Wheels are compressed already.
tar --create --file "dist/$name.tar" --directory build/offline --sort=name --owner=0 --group=0 --numeric-owner "$name"
rm -rf build/offline
ls -l "dist/$name.tar"
