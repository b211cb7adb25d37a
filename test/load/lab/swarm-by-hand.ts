import { runOn, type Machine } from '../../../apps/lab/src/host/namespace.js';
import { CONTROLLER, DEBIAN_IMAGE, NORTHBOUND_PORT, OVSDB_PORT, PROFILE, type HostLayout } from '../../../apps/lab/src/layout.js';
import { newName } from '../../support/lab.js';

const MAKING_MS = 600_000;
export const MANAGERS = 3;
export const WORKERS = 2;

/**
 * What an administrator's script would do, on one of the hosts: a network in OVN with DHCP, five instances at once, Docker
 * with TLS on the managers, and the Swarm. Arguments: a name, the northbound database, then an instance's host and the
 * database of that host's switch for each, managers first. It has no load balancer, security group or router.
 */
const MAKE = `
set -eu
name=$1 northbound=$2
shift 2
nb() { ovn-nbctl --db="$northbound" "$@"; }
address() { echo "10.77.0.$((10 + $1))"; }
inside() { instance=$1; shift; incus exec "$name-$instance" -- "$@"; }
seconds() { echo "$1 $(($(date +%s%3N) - began))" >&2; }
began=$(date +%s%3N)

nb ls-add "$name"
dhcp=$(nb create DHCP_Options cidr=10.77.0.0/24 external_ids:name="$name" \\
  options='"server_id"="10.77.0.1" "server_mac"="02:77:00:00:00:01" "lease_time"="3600" "mtu"="1442"')
seconds network

launch() {
  mac=02:77:00:00:01:0$1
  nb lsp-add "$name" "$name-$1" -- lsp-set-addresses "$name-$1" "$mac $(address "$1")" -- lsp-set-dhcpv4-options "$name-$1" "$dhcp"
  incus init ${DEBIAN_IMAGE} "$name-$1" --profile ${PROFILE} --target "$2" --quiet \\
    --config security.nesting=true --config security.privileged=true --config limits.cpu=1 --config limits.memory=768MiB
  incus config device add "$name-$1" eth0 nic nictype=bridged parent=br-int name=eth0 host_name="$name-$1" hwaddr="$mac" --quiet
  incus start "$name-$1"
  ovs-vsctl --db="$3" set Interface "$name-$1" external_ids:iface-id="$name-$1"
  until inside "$1" docker info >/dev/null 2>&1; do sleep 0.3; done
}
count=0
while [ $# -gt 0 ]; do
  count=$((count + 1))
  launch "$count" "$1" "$2" &
  running="\${running:-} $!"
  shift 2
done
for each in $running; do wait "$each"; done
seconds machines

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$files/$1-key.pem"; }
new_key ca
openssl req -x509 -new -key "$files/ca-key.pem" -subj /CN=by-hand -days 30 -out "$files/ca.pem"
secure() {
  new_key "$1"
  printf 'subjectAltName=IP:%s,IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' "$(address "$1")" >"$files/$1.ext"
  openssl req -new -key "$files/$1-key.pem" -subj "/CN=$name-$1" -out "$files/$1.csr"
  openssl x509 -req -in "$files/$1.csr" -CA "$files/ca.pem" -CAkey "$files/ca-key.pem" -set_serial "$1" -days 30 -extfile "$files/$1.ext" -out "$files/$1.pem" 2>/dev/null
  inside "$1" mkdir -p /etc/docker/tls /etc/systemd/system/docker.service.d
  for each in "ca.pem ca.pem" "$1.pem cert.pem" "$1-key.pem key.pem"; do
    incus file push --quiet "$files/\${each% *}" "$name-$1/etc/docker/tls/\${each#* }"
  done
  printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --mtu=1442 -H tcp://0.0.0.0:2376 --tlsverify --tlscacert=/etc/docker/tls/ca.pem --tlscert=/etc/docker/tls/cert.pem --tlskey=/etc/docker/tls/key.pem\\n' |
    inside "$1" tee /etc/systemd/system/docker.service.d/tls.conf >/dev/null
  inside "$1" sh -c 'systemctl daemon-reload && systemctl restart docker && until docker info >/dev/null 2>&1; do sleep 0.3; done'
}
running=
for manager in $(seq ${MANAGERS}); do secure "$manager" & running="$running $!"; done
for each in $running; do wait "$each"; done
seconds tls

inside 1 docker swarm init --advertise-addr "$(address 1)" >/dev/null
manager_token=$(inside 1 docker swarm join-token --quiet manager)
worker_token=$(inside 1 docker swarm join-token --quiet worker)
for manager in $(seq 2 ${MANAGERS}); do
  inside "$manager" docker swarm join --token "$manager_token" --advertise-addr "$(address "$manager")" "$(address 1):2377" >/dev/null
done
running=
for worker in $(seq ${MANAGERS + 1} "$count"); do
  inside "$worker" docker swarm join --token "$worker_token" --advertise-addr "$(address "$worker")" "$(address 1):2377" >/dev/null & running="$running $!"
done
for each in $running; do wait "$each"; done
ask() {
  inside 1 docker -H "tcp://$(address 1):2376" --tlsverify --tlscacert=/etc/docker/tls/ca.pem --tlscert=/etc/docker/tls/cert.pem --tlskey=/etc/docker/tls/key.pem "$@"
}
until [ "$(ask node ls --format '{{.Status}}' | grep -c Ready)" = "$count" ]; do sleep 0.3; done
seconds swarm
`;

const REMOVE = `
name=$1 northbound=$2 count=$3
for each in $(seq "$count"); do incus delete --force "$name-$each" & done
wait
ovn-nbctl --db="$northbound" --if-exists ls-del "$name"
for each in $(ovn-nbctl --db="$northbound" --bare --columns=_uuid find DHCP_Options external_ids:name="$name"); do
  ovn-nbctl --db="$northbound" destroy DHCP_Options "$each"
done
`;

/** Makes a Swarm of 3 managers and 2 workers by hand and takes it away again; the milliseconds until all nodes are ready. */
export async function swarmByHand(host: Machine, hosts: readonly HostLayout[]): Promise<number> {
  const name = newName('hand');
  const northbound = `tcp:${CONTROLLER.managementAddress}:${NORTHBOUND_PORT}`;
  const places = Array.from({ length: MANAGERS + WORKERS }, (_, index) => hosts[index % hosts.length] as HostLayout);
  const count = String(places.length);
  const start = performance.now();
  try {
    const words = places.flatMap((each) => [each.name, `tcp:${each.managementAddress}:${OVSDB_PORT}`]);
    await runOn(host, 'bash', ['-c', MAKE, 'swarm-by-hand', name, northbound, ...words], { timeoutMs: MAKING_MS });
    return performance.now() - start;
  } finally {
    await runOn(host, 'bash', ['-c', REMOVE, 'swarm-by-hand', name, northbound, count], { timeoutMs: MAKING_MS });
  }
}
