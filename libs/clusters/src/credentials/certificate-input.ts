import { isIP } from 'node:net';
import { invalidInput } from '#core';

const MAX_COMMON_NAME = 253;
const MAX_ORGANIZATIONS = 32;
const MAX_ORGANIZATION_LENGTH = 64;
const MAX_SERVER_NAMES = 100;
/** Anything people can read: a subject ends up in logs and in authorisation rules. */
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]+$/u;
const DNS_NAME = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** Longer than the 64 characters of RFC 5280: Kubernetes puts names such as `system:node:<host name>` there. */
export function checkSubject(commonName: string, organizations: readonly string[]): void {
  if (commonName.length > MAX_COMMON_NAME || !PRINTABLE.test(commonName)) {
    throw invalidInput('commonName', `A common name has 1 to ${MAX_COMMON_NAME} printable characters.`);
  }
  if (organizations.length > MAX_ORGANIZATIONS) {
    throw invalidInput('organizations', `A certificate names at most ${MAX_ORGANIZATIONS} organizations.`);
  }
  for (const [index, organization] of organizations.entries()) {
    if (organization.length <= MAX_ORGANIZATION_LENGTH && PRINTABLE.test(organization)) continue;
    throw invalidInput(`organizations.${index}`, `An organization has 1 to ${MAX_ORGANIZATION_LENGTH} printable characters.`);
  }
}

export function checkServerNames(dnsNames: readonly string[], ipAddresses: readonly string[]): void {
  const count = dnsNames.length + ipAddresses.length;
  if (count === 0 || count > MAX_SERVER_NAMES) {
    throw invalidInput('dnsNames', `A server certificate has 1 to ${MAX_SERVER_NAMES} names and addresses together.`, { count });
  }
  for (const [index, name] of dnsNames.entries()) {
    if (name.length > 253 || !DNS_NAME.test(name) || isIP(name) !== 0) {
      throw invalidInput(`dnsNames.${index}`, 'A DNS name has lower-case labels of 1 to 63 letters, digits and hyphens; the first may be "*".');
    }
  }
  for (const [index, address] of ipAddresses.entries()) {
    if (isIP(address) === 0 || address.includes('%')) throw invalidInput(`ipAddresses.${index}`, 'An IPv4 or IPv6 address is needed here.');
  }
}

export function checkLifetime(field: 'validDays' | 'validMinutes', value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  throw invalidInput(field, `A whole number from 1 to ${max} is needed here.`, { max });
}
