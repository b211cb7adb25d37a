export interface Image {
  fingerprint: string;
  aliases: { name: string; description: string }[];
  architecture: string;
  cached: boolean;
  filename: string;
  /** Bytes */
  size: number;
  type: 'container' | 'virtual-machine';
  created_at: string;
  last_used_at: string;
  uploaded_at: string;
  auto_update: boolean;
  properties: Record<string, string>;
  public: boolean;
  expires_at: string;
}

export interface ImageAlias {
  name: string;
  /** Fingerprint */
  target: string;
  description: string;
  type: 'container' | 'virtual-machine';
}

/** What may be changed of an image (`ImagePut`). */
export interface ImageSettings {
  auto_update?: boolean;
  properties?: Record<string, string>;
  public?: boolean;
  profiles?: string[];
}

/** `ImagesPostSource`: an image of another server, or of a stopped instance. */
export interface ImageSource {
  type: 'image' | 'instance' | 'snapshot';
  mode?: 'pull';
  server?: string;
  protocol?: 'incus' | 'simplestreams';
  certificate?: string;
  alias?: string;
  fingerprint?: string;
  secret?: string;
  name?: string;
  project?: string;
}

/** Files of an image to upload: one tarball with all, or metadata and root file system apart. */
export type ImageFiles =
  | { unified: string }
  | {
      /** Path of a tarball with `metadata.yaml` and `templates/`. */
      metadata: string;
      /** Path of a squashfs or tarball (containers). */
      rootfs: string;
    };
