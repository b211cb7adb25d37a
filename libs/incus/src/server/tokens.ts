/** What the operation that makes a token for a new member knows of it. */
export interface JoinToken {
  serverName: string;
  fingerprint: string;
  addresses: string[];
  secret: string;
  expiresAt: string;
}

/** A token as it is handed over: its fields as JSON in base 64 (Incus `shared/api/cluster.go`, `certificate.go`). */
export const tokenText = (fields: Record<string, unknown>): string => Buffer.from(JSON.stringify(fields)).toString('base64');
