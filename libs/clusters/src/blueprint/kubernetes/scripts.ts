import { KUBEADM_PKI_DIRECTORY } from '../../credentials/kubernetes-pki.js';
import { readFiles } from '../standard-input.js';

/**
 * The scripts that Kubernetes nodes run. Each may have been broken off before, at any point, and runs again from its
 * start. Nothing of what they are given on standard input is printed or left behind, but for the files of `kubeadmPkiFiles`.
 */

const ADMIN = '/etc/kubernetes/admin.conf';
/** In memory: gone with the machine, and removed when the script ends. */
const WORK = '/run/muon-kubeadm';

const PROLOGUE = `set -eu
umask 077
export KUBECONFIG=${ADMIN}`;

const READ_FILES = readFiles(WORK, [KUBEADM_PKI_DIRECTORY]);

/** What an earlier run may have left half-made would only stand in the way. */
const RESET_UNLESS_MEMBER = `if [ ! -e /etc/kubernetes/muon-joined ] && [ -e /etc/kubernetes/kubelet.conf -o -e /etc/kubernetes/manifests/kube-apiserver.yaml ]; then
  kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock >&2
fi`;

export const CONFIG_FILE = `${WORK}/kubeadm.yaml`;
export const TOKEN_FILE = `${WORK}/token`;

/** Groups of minted credentials, and what they may do in the cluster. */
export const GROUP_ROLES = { 'muon:owners': 'cluster-admin', 'muon:contributors': 'edit', 'muon:viewers': 'view' } as const;

export function initialiseScript(): string {
  const bindings = Object.entries(GROUP_ROLES).map(
    ([group, role]) =>
      `kubectl create clusterrolebinding ${group.replace(':', '-')} --clusterrole=${role} --group=${group} --dry-run=client -o yaml | kubectl apply -f - >&2`,
  );
  return `${PROLOGUE}
if [ -e /etc/kubernetes/muon-joined ] && kubectl get --raw=/readyz > /dev/null; then exit 0; fi
${RESET_UNLESS_MEMBER}
${READ_FILES}
kubeadm init --config ${CONFIG_FILE} --skip-token-print >&2
${bindings.join('\n')}
for manifest in /usr/share/muon/kubernetes/*.yaml; do
  if [ -e "$manifest" ]; then kubectl apply -f "$manifest" >&2; fi
done
touch /etc/kubernetes/muon-joined
`;
}

export function joinScript(): string {
  return `${PROLOGUE}
if [ -e /etc/kubernetes/muon-joined ]; then exit 0; fi
${RESET_UNLESS_MEMBER}
${READ_FILES}
kubeadm join --config ${CONFIG_FILE} >&2
touch /etc/kubernetes/muon-joined
`;
}

export function openJoiningScript(ttl: string): string {
  return `${PROLOGUE}
${READ_FILES}
token=$(cat ${TOKEN_FILE})
kubeadm token delete "\${token%%.*}" > /dev/null 2>&1 || true
kubeadm token create "$token" --ttl ${ttl} > /dev/null
`;
}

/** A node sees itself with its own credentials; a control node answers for its API server and its etcd member as well. */
export function readyScript(node: { name: string; role: 'CONTROL' | 'WORKER' }): string {
  const own = `set -eu
status=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node ${quote(node.name)} \\
  -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
test "$status" = True
`;
  if (node.role === 'WORKER') return own;
  return `${own}kubectl --kubeconfig ${ADMIN} --server https://localhost:6443 get --raw=/readyz > /dev/null
`;
}

export function drainScript(nodeName: string, options: { unreachable: boolean; timeoutSeconds: number }): string {
  const gentle = `--timeout=${options.timeoutSeconds}s`;
  const hard = `--force --disable-eviction --grace-period=0 --skip-wait-for-delete-timeout=1 ${gentle}`;
  return `${PROLOGUE}
name=${quote(nodeName)}
if [ -z "$(kubectl get node "$name" --ignore-not-found -o name)" ]; then exit 0; fi
kubectl drain "$name" --ignore-daemonsets --delete-emptydir-data ${options.unreachable ? hard : gentle} >&2
`;
}

export function undrainScript(nodeName: string): string {
  return `${PROLOGUE}
name=${quote(nodeName)}
if [ -z "$(kubectl get node "$name" --ignore-not-found -o name)" ]; then exit 0; fi
kubectl uncordon "$name" >&2
`;
}

/** A dead control node's vote goes first: with it the others might not agree on anything. */
export function removeScript(node: { name: string; role: 'CONTROL' | 'WORKER' }): string {
  const forget = `kubectl delete node "$name" --ignore-not-found --timeout=60s >&2
`;
  const head = `${PROLOGUE}
name=${quote(node.name)}
`;
  if (node.role === 'WORKER') return head + forget;
  return `${head}etcd=$(crictl ps --name '^etcd$' --state Running -q | head -n 1)
etcdctl() {
  crictl exec "$etcd" etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \\
    --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key "$@"
}
member=$(etcdctl member list | awk -F ', ' -v name="$name" '$3 == name { print $1 }')
if [ -n "$member" ]; then etcdctl member remove "$member" >&2; fi
${forget}`;
}

/** Names are DNS labels, so this only makes sure of it. */
function quote(name: string): string {
  return `'${name.replace(/[^a-z0-9-]/g, '')}'`;
}
