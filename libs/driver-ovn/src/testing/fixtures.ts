import { typeidUnboxed } from 'typeid-js';
import { expect } from 'vitest';
import { MuonError, type ErrorCode } from '#core';
import type {
  DriverCall,
  FirewallPolicyRule,
  FirewallSpecification,
  LoadBalancerSpecification,
  NetworkSpecification,
  Outcome,
  PortSpecification,
  SecurityGroupRule,
  SecurityGroupSpecification,
} from '#drivers';
import type { OvnNetworkOptions } from '../options.js';
import type { TestOvn } from './ovn.js';

/** What this room's specs call with and make. */
export const INSTALLATION = 'installation_1';
export const OWNERSHIP = { installationId: INSTALLATION, tenantId: 'tenant_1', projectId: 'project_1' };

export function optionsOf(ovn: TestOvn, more: Partial<OvnNetworkOptions> = {}): OvnNetworkOptions {
  return {
    backendId: 'backend_1',
    installationId: INSTALLATION,
    northbound: [ovn.northbound.unix],
    southbound: [ovn.southbound.unix],
    hostDeadAfterMs: 1_000,
    reconnectMaxMs: 20,
    ...more,
  };
}

export function callOf(overrides: Partial<DriverCall> = {}): DriverCall {
  return { idempotencyKey: typeidUnboxed('call'), timeoutMs: 10_000, signal: new AbortController().signal, ...overrides };
}

export function networkOf(overrides: Partial<NetworkSpecification> = {}): NetworkSpecification {
  return {
    networkId: typeidUnboxed('net'),
    revision: 1,
    ownership: OWNERSHIP,
    subnets: [subnetOf()],
    ...overrides,
  };
}

export function subnetOf(overrides: Partial<NetworkSpecification['subnets'][number]> = {}): NetworkSpecification['subnets'][number] {
  return { subnetId: typeidUnboxed('subnet'), cidr: '10.0.0.0/24', gatewayAddress: '10.0.0.1', ...overrides };
}

export function portOf(network: NetworkSpecification, overrides: Partial<PortSpecification> = {}): PortSpecification {
  return {
    portId: typeidUnboxed('port'),
    revision: 1,
    ownership: network.ownership,
    networkId: network.networkId,
    subnetId: network.subnets[0]?.subnetId ?? '',
    macAddress: '02:00:00:00:00:01',
    ipAddress: '10.0.0.10',
    hostName: 'host-1',
    ...overrides,
  };
}

export function balancerOf(network: NetworkSpecification, overrides: Partial<LoadBalancerSpecification> = {}): LoadBalancerSpecification {
  return {
    loadBalancerId: typeidUnboxed('lb'),
    revision: 1,
    ownership: network.ownership,
    networkId: network.networkId,
    address: '10.0.0.20',
    listeners: [
      {
        port: 6443,
        protocol: 'TCP',
        members: [
          { address: '10.0.0.10', port: 6443 },
          { address: '10.0.0.11', port: 6443 },
        ],
      },
    ],
    ...overrides,
  };
}

export function groupOf(rules: Partial<SecurityGroupRule>[] = [], overrides: Partial<SecurityGroupSpecification> = {}): SecurityGroupSpecification {
  const rule = { direction: 'INGRESS', protocol: 'TCP', ports: null, remoteCidr: null, remoteSecurityGroupId: null } as const;
  return { securityGroupId: typeidUnboxed('sgp'), revision: 1, ownership: OWNERSHIP, rules: rules.map((each) => ({ ...rule, ...each })), ...overrides };
}

export function policyRule(overrides: Partial<FirewallPolicyRule> = {}): FirewallPolicyRule {
  return { action: 'DENY', direction: 'INGRESS', protocol: 'TCP', ports: null, remoteCidr: null, ...overrides };
}

export function firewallOf(policies: FirewallSpecification['policies'], overrides: Partial<FirewallSpecification> = {}): FirewallSpecification {
  return { firewallId: 'fwl_1', revision: 1, installationId: INSTALLATION, policies, ...overrides };
}

export const DONE = { state: 'DONE', value: undefined };

/** Repeats a call until it is DONE, as an operation's step does; the test's own time is the end of it. */
export async function finish<Value>(attempt: () => Promise<Outcome<Value>>): Promise<Value> {
  for (;;) {
    const outcome = await attempt();
    if (outcome.state === 'DONE') return outcome.value;
  }
}

export async function refused(promise: Promise<unknown>, code: ErrorCode): Promise<MuonError> {
  const error: unknown = await promise.then(
    (value) => new Error(`it answered ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof MuonError)) throw new Error(`expected ${code}`, { cause: error });
  expect(error.code, error.message).toBe(code);
  return error;
}
