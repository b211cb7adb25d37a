/** How one Incus member is reached. */
export type Endpoint = SocketEndpoint | HttpsEndpoint;

/** The member's own unix socket: whoever may open it is trusted with everything. */
export interface SocketEndpoint {
  /** At most 107 bytes, as Linux has it. */
  socketPath: string;
}

/** HTTPS with a certificate that the cluster trusts (`certificates.ts` tells how it comes to). */
export interface HttpsEndpoint {
  /** `https://host:port` */
  url: string;
  /** The certificate that the server must show, as PEM: all members of a cluster show the cluster's. */
  serverCertificate: string;
  /** Who is asking; without it only what is open to strangers can be called. */
  client?: ClientCertificate;
}

export interface ClientCertificate {
  /** PEM */
  certificate: string;
  /** PEM */
  key: string;
}

/** For messages: never holds a key. */
export const describeEndpoint = (endpoint: Endpoint): string => ('socketPath' in endpoint ? endpoint.socketPath : endpoint.url);
