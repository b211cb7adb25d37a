import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { MuonError } from '#core';

const MAX_ADDRESSES = 50_000;
const MINUTE_MS = 60_000;

interface Bucket {
  /** Failed attempts that may still follow. */
  left: number;
  at: number;
}

/**
 * Slows down whoever presents credentials that do not hold: an address has so many failed attempts, and gets them back
 * evenly over a minute. Each process counts for itself, so that an attack costs no writes; with n processes an address
 * has at most n times as many.
 */
export class FailedAttempts {
  private readonly buckets = new Map<string, Bucket>();

  /** @param perMinute how many failed attempts an address has */
  constructor(private readonly perMinute: number) {}

  /** RATE_LIMITED while the address has no attempt left; undefined while it has. */
  refusal(address: string | null): MuonError | undefined {
    if (address === null || this.buckets.size === 0) return undefined;
    const bucket = this.buckets.get(networkOf(address));
    if (bucket === undefined) return undefined;
    const left = this.leftOf(bucket);
    if (left >= 1) return undefined;
    const retryAfterMs = Math.ceil(((1 - left) * MINUTE_MS) / this.perMinute);
    return new MuonError('RATE_LIMITED', 'Too many credentials from this address did not hold; wait before the next attempt.', {
      data: { limit: this.perMinute, used: this.perMinute, resets: new Date(Date.now() + retryAfterMs).toISOString(), retryAfterMs },
    });
  }

  failed(address: string | null): void {
    if (address === null) return;
    const key = networkOf(address);
    const bucket = this.buckets.get(key);
    const left = bucket === undefined ? this.perMinute : this.leftOf(bucket);
    this.buckets.delete(key);
    this.buckets.set(key, { left: Math.max(0, left - 1), at: performance.now() });
    if (this.buckets.size > MAX_ADDRESSES) this.buckets.delete(this.buckets.keys().next().value ?? '');
  }

  private leftOf({ left, at }: Bucket): number {
    return Math.min(this.perMinute, left + ((performance.now() - at) * this.perMinute) / MINUTE_MS);
  }
}

/** A subscriber has a whole /64 of IPv6 addresses, so they count as one. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const parsed = ipaddr.process(address);
  return parsed.kind() === 'ipv4' ? parsed.toString() : parsed.toByteArray().slice(0, 8).join('.');
}
