#!/usr/bin/env bash
# Runs as root in a system that systemd has booted, with the Debian package installed: see try_deb.sh. Starts the unit with a
# secret as credential, sends a phantom, reloads, kills, upgrades and stops the node. The argument is the package.
set -euo pipefail
cd /root
state() { systemctl show cxr-node --property "$1" --value; }
until_state() {
  for _ in $(seq 600); do
    [ "$(state SubState)" = "$1" ] && return
    sleep 1
  done
  journalctl --unit cxr-node --no-pager | tail -40
  echo "the unit is not $1"
  exit 1
}

systemd-analyze verify cxr-node.service
# The PACS of the trial does not run yet, so that the checks at the end of init have a problem to report.
echo 'nine small green frogs' | cxr-node-admin init --yes --data-folder /var/lib/cxr-node --ae-title CXRTRIAL \
  --pacs STORESCP@127.0.0.1:11113 --user kim >/dev/null || test -e /etc/cxr-node/cxr-node.toml
mkdir -p /etc/credstore
(umask 077 && printf 'sqlite:////var/lib/cxr-node/credential.db' >/etc/credstore/cxr-node.database.url)
systemctl start cxr-node
echo "started: $(state StatusText)"
test -e /var/lib/cxr-node/credential.db || { echo "the credential was not read"; exit 1; }
python3 /srv/try_node.py --running CXRTRIAL@127.0.0.1:11112 --pacs-port 11113 cxr-node
systemctl reload cxr-node
kill -9 "$(state MainPID)"
until_state auto-restart
until_state running
echo "killed, and started again"
before=$(state MainPID)
dpkg -i "$1" >/dev/null
until_state running
[ "$before" != "$(state MainPID)" ] || { echo "the upgrade did not restart the node"; exit 1; }
systemd-analyze security --no-pager cxr-node | tail -1
dpkg --remove cxr-node >/dev/null
[ "$(state ActiveState)" != active ] || { echo "the node runs without its package"; exit 1; }
echo "the unit was started, reloaded, killed, upgraded and stopped"
