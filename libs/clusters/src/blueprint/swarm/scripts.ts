import { readFiles } from '../standard-input.js';

/**
 * The scripts that Swarm nodes run, for Docker 20.10 and later on a system with systemd. Each may have been broken off
 * before, at any point, and runs again from its start. Nothing of what they are given on standard input is printed or left
 * behind, but for the certificate of a manager.
 */

export const API_PORT = 2376;
/** In memory: gone with the machine, and removed when the script ends. */
const WORK = '/run/muon-swarm';
const CERTIFICATES = '/etc/docker/muon';
const UNIT = '/etc/systemd/system/docker.service.d/50-muon.conf';
/** Of overlay networks; clear of the blocks that Muon chooses for networks (10.32.0.0/11). */
const ADDRESS_POOL = '10.244.0.0/14';
/** What VXLAN takes of each packet. */
const OVERLAY_HEADER = 50;

export const AUTHORITY_FILE = `${CERTIFICATES}/ca.pem`;
export const CERTIFICATE_FILE = `${CERTIFICATES}/server-cert.pem`;
export const KEY_FILE = `${CERTIFICATES}/server-key.pem`;
export const TOKEN_FILE = `${WORK}/token`;
/** Addresses of managers, one a line. */
export const MANAGERS_FILE = `${WORK}/managers`;
/** A line a node: its name and its labels, as `name key=value key=value`. */
export const LABELS_FILE = `${WORK}/labels`;

/** What `openJoining` answers: a token for each role. */
export const TOKEN_OF_ROLE = { CONTROL: 'manager', WORKER: 'worker' } as const;

interface ScriptNode {
  name: string;
  role: 'CONTROL' | 'WORKER';
  address: string;
}

/**
 * `retry` repeats a command once a second until it succeeds; its last words are told when it does not. Functions that it
 * repeats say themselves where they fail: the shell goes on after an error there.
 */
const PROLOGUE = `set -eu
umask 077
retry() {
  left=$1
  shift
  until said=$("$@" 2>&1); do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then printf '%s\\n' "$said" >&2; return 1; fi
    sleep 1
  done
}`;

/** The ids of all entries that the cluster has of a node: one that joined twice has two. */
const FIND = `find_node() {
  all=$(timeout 30 docker node ls --format '{{.ID}} {{.Hostname}}') || return 1
  printf '%s\\n' "$all" | awk -v name="$1" '$2 == name { print $1 }'
}`;

/** A manager's vote goes first; that takes a moment, and until then it cannot be removed. */
const FORGET = `forget_entry() {
  role=$(docker node inspect --format '{{.Spec.Role}}' "$1") || return 1
  if [ "$role" = manager ]; then docker node demote "$1" || return 1; fi
  docker node rm --force "$1"
}`;

/**
 * Packets of containers must fit through the network of the machines, which is narrower than Docker assumes. Docker takes
 * what it is told on its command line beside the image's own daemon.json.
 */
function prepareDocker({ role, address }: ScriptNode): string {
  const flags = ['--host fd://', '--containerd=/run/containerd/containerd.sock', '$DOCKER_OPTS', '--mtu=$mtu$more'];
  const tls = [
    `--host tcp://0.0.0.0:${API_PORT}`,
    '--tlsverify',
    `--tlscacert=${AUTHORITY_FILE}`,
    `--tlscert=${CERTIFICATE_FILE}`,
    `--tlskey=${KEY_FILE}`,
  ];
  const command = [...flags, ...(role === 'CONTROL' ? tls : [])].join(' ').replace('$DOCKER_OPTS', '\\$DOCKER_OPTS');
  return `device=$(ip -o addr show to ${address} | awk '{ print $2; exit }')
mtu=$(cat "/sys/class/net/$device/mtu")
overlay_mtu=$((mtu - ${OVERLAY_HEADER}))
more=
if dockerd --help | grep -q -- --default-network-opt; then
  more=" --default-network-opt=overlay=com.docker.network.driver.mtu=$overlay_mtu"
fi
mkdir -p "$(dirname ${UNIT})"
cat > ${WORK}/unit << END
[Service]
ExecStart=
ExecStart=/usr/bin/env dockerd ${command}
END
# Certificates may be new, too.
chmod 644 ${WORK}/unit
cp -p ${WORK}/unit ${UNIT}
systemctl daemon-reload
systemctl reset-failed docker.service || true
systemctl restart docker.service
retry 60 docker info
if ! docker network inspect docker_gwbridge > /dev/null 2>&1; then
  docker network create --driver bridge --opt com.docker.network.bridge.name=docker_gwbridge \\
    --opt com.docker.network.bridge.enable_icc=false --opt com.docker.network.bridge.enable_ip_masquerade=true \\
    --opt "com.docker.network.driver.mtu=$mtu" docker_gwbridge > /dev/null
fi`;
}

const STATE = `state() { docker info --format '{{.Swarm.LocalNodeState}}'; }
not_pending() { test "$(state)" != pending; }`;

export function initialiseScript(node: ScriptNode): string {
  return `${PROLOGUE}
${readFiles(WORK, [CERTIFICATES])}
${prepareDocker(node)}
${STATE}
retry 60 not_pending || docker swarm leave --force >&2
if [ "$(state)" != active ]; then
  if [ "$(state)" != inactive ]; then docker swarm leave --force >&2; fi
  docker swarm init --advertise-addr ${node.address} --default-addr-pool ${ADDRESS_POOL} --default-addr-pool-mask-length 24 > /dev/null
fi
# The routing mesh's network is made by itself, some time later, and as wide as Docker assumes.
fitting_ingress() {
  if found=$(docker network inspect ingress --format '{{ index .Options "com.docker.network.driver.mtu" }}'); then
    if [ "$found" = "$overlay_mtu" ]; then return 0; fi
    echo y | docker network rm ingress
  else
    docker network create --driver overlay --ingress --opt "com.docker.network.driver.mtu=$overlay_mtu" ingress
  fi
  return 1
}
retry 60 fitting_ingress
`;
}

/**
 * A manager that has its certificate may have a vote, and keeps both through a restart: it goes on where it was. If it left by
 * force, its vote would stay behind with nobody to use it, and each such vote brings the others nearer to not agreeing any more.
 */
const KEEP_VOTE = `if [ "$(state)" != inactive ] && [ -s "$(docker info --format '{{.DockerRootDir}}')/swarm/certificates/swarm-node.crt" ]; then
  systemctl reset-failed docker.service || true
  systemctl restart docker.service
  retry 60 docker info
  retry 60 not_pending || true
  if [ "$(state)" = active ]; then exit 0; fi
  if [ "$(state)" != inactive ]; then echo "it has joined and does not come to take part: it is $(state)" >&2; exit 1; fi
fi`;

export function joinScript(node: ScriptNode): string {
  return `${PROLOGUE}
${readFiles(WORK, [CERTIFICATES])}
${STATE}
retry 60 docker info
# What an earlier attempt has begun may still come to its end; otherwise it only stands in the way.
retry 60 not_pending || true
if [ "$(state)" = active ]; then exit 0; fi
${node.role === 'CONTROL' ? `${KEEP_VOTE}\n` : ''}if [ "$(state)" != inactive ]; then docker swarm leave --force >&2; fi
${prepareDocker(node)}
token=$(cat ${TOKEN_FILE})
while read -r manager; do
  if ! timeout 3 bash -c ': < "/dev/tcp/$0/2377"' "$manager" 2> /dev/null; then continue; fi
  docker swarm join --token "$token" --advertise-addr ${node.address} "$manager:2377" < /dev/null > /dev/null
  retry 60 not_pending
  test "$(state)" = active
  exit 0
done < ${MANAGERS_FILE}
echo "no manager of the cluster answers on port 2377" >&2
exit 1
`;
}

export function openJoiningScript(): string {
  const answers = Object.values(TOKEN_OF_ROLE);
  return `${PROLOGUE}
${answers.map((role) => `${role}=$(timeout 30 docker swarm join-token --quiet ${role})`).join('\n')}
printf '%s\\n' ${answers.map((role) => `"${role}=$${role}"`).join(' ')}
`;
}

/**
 * A node that changes while it is labelled is refused by Swarm, and labelled again. Of one that joined twice, because its
 * first attempt was broken off, only the entry that answers stays.
 */
export function closeJoiningScript(): string {
  return `${PROLOGUE}
${FIND}
${FORGET}
${readFiles(WORK)}
for role in ${Object.values(TOKEN_OF_ROLE).join(' ')}; do
  timeout 30 docker swarm join-token --rotate --quiet "$role" > /dev/null
done
touch ${LABELS_FILE}
label_node() {
  ids=$(find_node "$1") || return 1
  shift
  if [ -z "$ids" ]; then echo "the cluster does not know the node" >&2; return 1; fi
  for id in $ids; do
    status=$(docker node inspect --format '{{.Status.State}}' "$id") || return 1
    if [ "$id" != "$ids" ] && [ "$status" != ready ]; then
      forget_entry "$id" || return 1
    else
      docker node update "$@" "$id" || return 1
    fi
  done
  test "$id" = "$ids"
}
while read -r name labels; do
  set -- "$name"
  for label in $labels; do set -- "$@" --label-add "$label"; done
  retry 30 label_node "$@"
done < ${LABELS_FILE}
`;
}

/** A node knows whether it belongs; a manager also whether enough of them agree. */
export function readyScript({ role }: ScriptNode): string {
  const own = `set -eu
test "$(docker info --format '{{.Swarm.LocalNodeState}}')" = active
`;
  if (role === 'WORKER') return own;
  return `${own}test "$(docker info --format '{{.Swarm.ControlAvailable}}')" = true
timeout 20 docker node ls --quiet > /dev/null
`;
}

/** Of a node that does not answer nothing can be waited for. */
export function drainScript(node: Pick<ScriptNode, 'name'>, options: { unreachable: boolean; timeoutSeconds: number }): string {
  const update = `${PROLOGUE}
${FIND}
drain_node() {
  ids=$(find_node ${quote(node.name)}) || return 1
  for id in $ids; do docker node update --availability drain "$id" || return 1; done
}
retry 10 drain_node
`;
  if (options.unreachable) return update;
  return `${update}empty() {
  ids=$(find_node ${quote(node.name)}) || return 1
  for id in $ids; do
    tasks=$(docker node ps --format '{{.Name}} is {{.CurrentState}}' "$id") || return 1
    if printf '%s\\n' "$tasks" | grep -E ' is (Running|Starting|Preparing) '; then return 1; fi
  done
}
retry ${options.timeoutSeconds} empty
`;
}

export function undrainScript(node: Pick<ScriptNode, 'name'>): string {
  return `${PROLOGUE}
${FIND}
undrain_node() {
  ids=$(find_node ${quote(node.name)}) || return 1
  for id in $ids; do docker node update --availability active "$id" || return 1; done
}
retry 10 undrain_node
`;
}

export function removeScript(node: Pick<ScriptNode, 'name'>): string {
  return `${PROLOGUE}
${FIND}
${FORGET}
remove_node() {
  ids=$(find_node ${quote(node.name)}) || return 1
  for id in $ids; do forget_entry "$id" || return 1; done
}
retry 60 remove_node
`;
}

/** Names are DNS labels, so this only makes sure of it. */
function quote(name: string): string {
  return `'${name.replace(/[^a-z0-9-]/g, '')}'`;
}
