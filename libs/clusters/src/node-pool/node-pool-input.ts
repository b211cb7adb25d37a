import { z } from 'zod';
import { nameSchema } from '#core';
import { MAX_NODES_PER_POOL } from '../cluster/cluster.js';

const reference = z.string().min(1).max(100);

/** Kubernetes' syntax of labels; the prefixes that it keeps for itself are not to be had. */
const LABEL_NAME = /^([a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;
const RESERVED_LABEL = /(^|\.)(kubernetes|k8s)\.io\/|^node\.muon\/|^muon\./;

const labelsSchema = z
  .record(
    z.string().max(253).regex(LABEL_NAME, 'A label reads like "team" or "example.com/team".').refine((key) => !RESERVED_LABEL.test(key), 'This prefix is reserved.'),
    z.string().regex(LABEL_VALUE, 'A label has up to 63 letters, digits, dots, hyphens and underscores as its value.'),
  )
  .refine((map) => Object.keys(map).length <= 30, 'At most 30 labels.');

export const nodeCountSchema = z.int().min(0).max(MAX_NODES_PER_POOL, `A node pool has at most ${MAX_NODES_PER_POOL} nodes.`);

/** What is asked of a node pool, with its cluster or later. */
export const nodePoolFields = {
  name: nameSchema.refine((name) => name !== 'control', 'This name is reserved for the control nodes.'),
  /** Id or name. */
  flavor: reference,
  count: nodeCountSchema,
  /** Ids or names; all that the tenant may use when left out. */
  zones: z.array(reference).max(20).default([]),
  /** Put on its nodes when they join. */
  labels: labelsSchema.default({}),
};
const schema = z.strictObject(nodePoolFields);
export type NodePoolFields = z.output<typeof schema>;
