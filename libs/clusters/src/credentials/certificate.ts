import 'reflect-metadata';
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as ParsedCertificate,
  X509CertificateGenerator,
  type Extension,
  type JsonGeneralNames,
  type JsonNameParams,
} from '@peculiar/x509';
import { assert, MuonError } from '#core';
import { checkLifetime, checkServerNames, checkSubject } from './certificate-input.js';
import { newKeyPair, privateKeyPem, SIGNING, webKey } from './key-pair.js';

/**
 * X.509 certificates (RFC 5280) over ECDSA P-256 and SHA-256, for the clusters' own certificate authorities. Everything
 * here is a function of its arguments, randomness and the clock; keeping the keys is the caller's.
 */

/** A certificate and its private key (PKCS #8), both PEM. The key is a secret: it is kept only through the secrets room. */
export interface CertificateAndKey {
  certificatePem: string;
  privateKeyPem: string;
}

export interface IssuedCertificate extends CertificateAndKey {
  /** Hexadecimal, for the audit log: it names the certificate and tells nothing. */
  serialNumber: string;
  notBefore: Date;
  notAfter: Date;
}

export interface AuthorityOptions {
  commonName: string;
  /** 1 to 36500. */
  validDays: number;
  /** The time of issue; now when not given. */
  now?: Date;
}

export interface ClientCertificateOptions {
  /** The user's name, as Kubernetes reads it. */
  commonName: string;
  /** The user's groups, as Kubernetes reads them; may be empty. */
  organizations: readonly string[];
  /** 1 minute to 10 years. */
  validMinutes: number;
  now?: Date;
}

export interface ServerCertificateOptions {
  commonName: string;
  /** The first label may be `*`. One name or address at least. */
  dnsNames: readonly string[];
  /** IPv4 or IPv6. */
  ipAddresses: readonly string[];
  validMinutes: number;
  now?: Date;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Clocks of machines differ: what is issued now must be valid for one that is behind. */
const CLOCK_SKEW_MS = 5 * MINUTE_MS;
const SERIAL_BYTES = 16;
const MAX_AUTHORITY_DAYS = 36_500;
const MAX_LEAF_MINUTES = 10 * 365 * 24 * 60;

/**
 * A new root that may sign leaves only, and certificates and revocation lists only.
 * @throws INVALID_INPUT naming the option
 */
export async function createCertificateAuthority(options: AuthorityOptions): Promise<CertificateAndKey> {
  checkSubject(options.commonName, []);
  checkLifetime('validDays', options.validDays, MAX_AUTHORITY_DAYS);
  const issuedAt = wholeSeconds(options.now);
  const keys = newKeyPair();
  const publicKey = webKey(keys.publicKey);
  const name = subject(options.commonName, []);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: name,
    issuer: name,
    notBefore: new Date(issuedAt - CLOCK_SKEW_MS),
    notAfter: new Date(issuedAt + options.validDays * DAY_MS),
    publicKey,
    signingKey: webKey(keys.privateKey),
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { certificatePem: `${certificate.toString('pem')}\n`, privateKeyPem: privateKeyPem(keys.privateKey) };
}

/**
 * A certificate by which a user or component shows who it is to a server. It never outlives its authority.
 * @throws INVALID_INPUT naming the option
 * @throws INVALID_STATE when the authority's own time is over
 */
export async function issueClientCertificate(
  authority: CertificateAndKey,
  options: ClientCertificateOptions,
): Promise<IssuedCertificate> {
  checkSubject(options.commonName, options.organizations);
  return issue(authority, options, subject(options.commonName, options.organizations), [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth]),
  ]);
}

/** A certificate for a server that is reached by these names and addresses; otherwise as `issueClientCertificate`. */
export async function issueServerCertificate(
  authority: CertificateAndKey,
  options: ServerCertificateOptions,
): Promise<IssuedCertificate> {
  checkSubject(options.commonName, []);
  checkServerNames(options.dnsNames, options.ipAddresses);
  const names: JsonGeneralNames = [
    ...options.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...options.ipAddresses.map((value) => ({ type: 'ip' as const, value: plainAddress(value) })),
  ];
  return issue(authority, options, subject(options.commonName, []), [
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
    new SubjectAlternativeNameExtension(names),
  ]);
}

async function issue(
  authority: CertificateAndKey,
  options: { validMinutes: number; now?: Date },
  name: Name,
  extensions: readonly Extension[],
): Promise<IssuedCertificate> {
  checkLifetime('validMinutes', options.validMinutes, MAX_LEAF_MINUTES);
  const issuer = new ParsedCertificate(authority.certificatePem);
  const issuerKey = createPrivateKey(authority.privateKeyPem);
  assert(
    new X509Certificate(authority.certificatePem).checkPrivateKey(issuerKey),
    'the private key of a certificate authority is not that of its certificate',
  );
  const { notBefore, notAfter } = lifetime(issuer, options);
  const keys = newKeyPair();
  const publicKey = webKey(keys.publicKey);
  const serialNumber = newSerialNumber();
  const certificate = await X509CertificateGenerator.create({
    serialNumber,
    subject: name,
    issuer: issuer.subjectName,
    notBefore,
    notAfter,
    publicKey,
    signingKey: webKey(issuerKey),
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      ...extensions,
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return {
    certificatePem: `${certificate.toString('pem')}\n`,
    privateKeyPem: privateKeyPem(keys.privateKey),
    serialNumber,
    notBefore,
    notAfter,
  };
}

function lifetime(issuer: ParsedCertificate, options: { validMinutes: number; now?: Date }): { notBefore: Date; notAfter: Date } {
  const issuedAt = wholeSeconds(options.now);
  if (issuedAt >= issuer.notAfter.getTime()) {
    const notAfter = issuer.notAfter.toISOString();
    throw new MuonError('INVALID_STATE', `The certificate authority ended at ${notAfter}.`, { fault: 'OPERATOR', data: { notAfter } });
  }
  return {
    notBefore: new Date(Math.max(issuedAt - CLOCK_SKEW_MS, issuer.notBefore.getTime())),
    notAfter: new Date(Math.min(issuedAt + options.validMinutes * MINUTE_MS, issuer.notAfter.getTime())),
  };
}

/**
 * Each organization in a part of its own, since some readers take only the first value of a part. The string type is
 * always named: from plain text the library would read quotes, escapes and `#` as notation, and change who is named.
 */
function subject(commonName: string, organizations: readonly string[]): Name {
  const parts: JsonNameParams = [
    ...organizations.map((organization) => ({ O: [{ utf8String: organization }] })),
    { CN: [{ utf8String: commonName }] },
  ];
  return new Name(parts);
}

/** IPv6 in its plain form: the library does not read the one with an IPv4 address at the end. */
function plainAddress(address: string): string {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

/** Random (RFC 5280, 4.1.2.2), always 16 bytes and positive. */
function newSerialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** Certificates know no fractions of a second. */
function wholeSeconds(now = new Date()): number {
  return Math.floor(now.getTime() / SECOND_MS) * SECOND_MS;
}
