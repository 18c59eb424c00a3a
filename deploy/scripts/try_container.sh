#!/usr/bin/env bash
# Tries the image for CPUs without a registry of images: builds it on a root file system of Debian, runs it with a read-only
# root and no capability, asks its health check, sends it a phantom, waits for the report, and stops it. The loopback interface
# is its only network. Needs root, `make offline` with Debian's Python, and on Debian 12:
#     apt-get install --no-install-recommends buildah podman runc mmdebstrap dcmtk
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=${SUITE:-bookworm}
base=localhost/cxr-node-base:$suite image=localhost/cxr-node name=cxr-node-trial-$$ pacs_port=11113
for program in buildah podman runc mmdebstrap storescu; do
  command -v "$program" >/dev/null || { echo "not tried: $program is missing"; exit 3; }
done

if [ "${1:-}" != run ]; then
  mkdir -p build
  podman image exists "$base" || {
    mmdebstrap --quiet --variant=minbase --include=python3,python3-venv "$suite" build/base.tar
    podman import --quiet build/base.tar "$base" >/dev/null
    rm build/base.tar
  }
  make container PYTHON="${PYTHON:-python3}" IMAGE_OPTIONS="--quiet --isolation chroot --build-arg BASE=$base"
  exec unshare --net python3 deploy/scripts/loopback_only.py bash "$0" run
fi

# Processes outside read what the node's user writes here, and it what they write.
work=$(mktemp -d)
trap 'podman rm --force --time 0 "$name" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
chmod 777 "$work"
printf '[node]\ndata_folder = "/var/lib/cxr-node"\n[[deliver.destinations]]\nkind = "cstore"\nname = "pacs"\n%s\n' \
  "host = \"127.0.0.1\"
port = $pacs_port
ae_title = \"STORESCP\"" >"$work/cxr-node.toml"
podman --runtime runc run --detach --name "$name" --network host --read-only --cap-drop all --security-opt no-new-privileges \
  --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096 --pids-limit 4096 --tmpfs /tmp \
  --volume "$work:$work" --volume "$work/cxr-node.toml:/etc/cxr-node/cxr-node.toml:ro" "$image" >/dev/null
cat >"$work/cxr-node" <<EOF
#!/bin/sh
chmod 777 .
exec podman --runtime runc exec --interactive --workdir "\$PWD" $name cxr-node "\$@"
EOF
chmod 755 "$work/cxr-node"

echo "waiting for the health check ..."
for _ in $(seq 300); do
  if podman --runtime runc healthcheck run "$name" >/dev/null 2>&1; then healthy=yes; break; fi
  [ "$(podman inspect --format '{{.State.Running}}' "$name")" = true ] || break
  sleep 1
done
[ "${healthy:-}" = yes ] || { podman logs "$name"; echo "the node is not healthy"; exit 1; }
podman exec "$name" id
TMPDIR=$work python3 deploy/scripts/try_node.py --running CXRNODE@127.0.0.1:11112 --pacs-port "$pacs_port" "$work/cxr-node"
podman stop --time 60 "$name" >/dev/null
status=$(podman inspect --format '{{.State.ExitCode}}' "$name")
[ "$status" = 0 ] || { podman logs "$name"; echo "the node ended with status $status"; exit 1; }
podman image inspect --format 'image of {{.Size}} bytes, user {{.User}}' "$image"
echo "the image was built, ran with a read-only root, and stopped with status 0"
