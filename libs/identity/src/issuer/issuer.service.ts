import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { invalidInput, MuonError, nameSchema, parseInput } from '#core';
import { ChangeSet, constraintMeans, ROWS, versionConflict, type Reader } from '#database';
import { SCOPES, SYSTEM_SCOPE_ID } from '#scopes';
import type { Access, Place } from '../access/access.js';
import { HOLDINGS, requireHolding } from '../access/holdings.js';
import { located, requireScope } from '../access/look-up.js';
import { Action } from '../access/role.js';
import type { CommandOptions } from '../command/command-options.js';
import { CommandRunner, type CommandResult } from '../command/command-runner.js';
import { addressProblem, DEFAULT_ALGORITHMS, issuerId, SigningAlgorithm, type IssuerPolicy, type IssuerRow } from './issuer.js';
import { findIssuers } from './issuer.sql.js';

constraintMeans('issuer_name', () => new MuonError('ALREADY_EXISTS', 'An issuer of this name exists here already.', { field: 'input.name' }));
for (const index of ['issuer_audience', 'issuer_audience_of_system']) {
  constraintMeans(
    index,
    () =>
      new MuonError(
        'ALREADY_EXISTS',
        'Tokens of this URL for this audience belong to an issuer that exists already: choose another audience. If the URL is yours and you have not made that one, ask the operator to disable it.',
        { field: 'input.audience' },
      ),
  );
}
constraintMeans(
  'issuer_without_roles',
  () =>
    new MuonError('INVALID_STATE', 'People or groups of this issuer hold roles: take those away first, or disable the issuer.', {
      field: 'input.id',
      data: { fact: 'role_binding' },
    }),
);
constraintMeans('principal_issuer', () => new MuonError('CONFLICT', 'Somebody signed in by this issuer at the same time; try again.'));

const claimSchema = z.string().min(1).max(200);
const textSchema = z.string().min(1).max(500);
const fields = {
  name: nameSchema,
  url: z.string().max(1000),
  audience: textSchema,
  jwksUri: z.string().max(1000).nullable(),
  clientId: textSchema.nullable(),
  subjectClaim: claimSchema,
  nameClaim: claimSchema,
  groupsClaim: claimSchema.nullable(),
  algorithms: z.array(z.enum(SigningAlgorithm)).min(1).max(10),
  enabled: z.boolean(),
};
export const createIssuerInput = z.strictObject({
  scopeId: z.string().max(100).optional(),
  ...fields,
  jwksUri: fields.jwksUri.default(null),
  clientId: fields.clientId.default(null),
  subjectClaim: fields.subjectClaim.default('sub'),
  nameClaim: fields.nameClaim.default('name'),
  groupsClaim: fields.groupsClaim.default(null),
  algorithms: fields.algorithms.default([...DEFAULT_ALGORITHMS]),
  enabled: fields.enabled.default(true),
});
const { url: _url, subjectClaim: _subjectClaim, ...changeable } = fields;
export const updateIssuerInput = z.strictObject({
  id: z.string().max(100),
  expectedVersion: z.int().min(0).optional(),
  ...z.strictObject(changeable).partial().shape,
});

type Settings = Omit<z.output<typeof createIssuerInput>, 'scopeId'>;

/** Who vouches for the people of the system and of tenants. Whoever may change a scope's roles may say whom it trusts. */
@Injectable()
export class IssuerService {
  constructor(
    private readonly commands: CommandRunner,
    private readonly policy: IssuerPolicy,
  ) {}

  async create(access: Access, raw: z.input<typeof createIssuerInput>, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(createIssuerInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const { scopeId = SYSTEM_SCOPE_ID, ...settings } = input;
      Object.assign(place, await requireScope(reader, access, 'issuer', scopeId));
      if (place.projectId !== null) throw invalidInput('input.scopeId', 'An issuer belongs to the system or to a tenant.');
      this.requireAddresses(settings, place.tenantId !== null);
      const id = issuerId.create();
      const changes = new ChangeSet();
      changes.add(SCOPES, { scopeId, need: 'ACTIVE' });
      changes.add(ROWS, {
        table: 'issuer',
        insert: { id, scope_id: scopeId, tenant_id: place.tenantId, project_id: null, ...columnsOf(settings) },
      });
      changes.resources.push({ action: 'CREATE', kind: 'issuer', id, name: settings.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'createIssuer', input, place, ...options }, plan);
  }

  /** URL and subject claim stay: with others the same subjects would be other people. */
  async update(access: Access, raw: z.input<typeof updateIssuerInput>, options: CommandOptions = {}): Promise<CommandResult> {
    const input = parseInput(updateIssuerInput, raw);
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const { id, expectedVersion, ...set } = input;
      const row = await this.requireIssuer(reader, access, Action.MODIFY, id);
      Object.assign(place, { tenantId: row.tenant_id });
      const version = expectedVersion ?? row.version;
      if (version !== row.version) throw versionConflict('issuer', { id, version });
      this.requireAddresses(set, row.tenant_id !== null);
      // Other keys, another audience: whoever says which tokens hold could act as anybody of the issuer.
      const changes = new ChangeSet().add(HOLDINGS, await requireHolding(reader, access, 'issuer', id, 'input.id'));
      const columns = columnsOf(set);
      if (Object.keys(columns).length > 0) changes.add(ROWS, { table: 'issuer', update: columns, id, version });
      changes.resources.push({ action: 'UPDATE', kind: 'issuer', id, name: row.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'updateIssuer', input, place, ...options }, plan);
  }

  /** Its people go with it, so it is refused while any of them holds a role. */
  async delete(access: Access, id: string, options: CommandOptions = {}): Promise<CommandResult> {
    const place: Place = { tenantId: null, projectId: null };
    const plan = async (reader: Reader): Promise<ChangeSet> => {
      const row = await this.requireIssuer(reader, access, Action.DELETE, id);
      Object.assign(place, { tenantId: row.tenant_id });
      const changes = new ChangeSet().add(ROWS, { table: 'issuer', remove: true, id, version: row.version });
      changes.resources.push({ action: 'DELETE', kind: 'issuer', id, name: row.name });
      changes.result = { id };
      return changes;
    };
    return this.commands.run({ access, name: 'deleteIssuer', input: { id }, place, ...options }, plan);
  }

  private requireAddresses({ url, jwksUri }: { url?: string | undefined; jwksUri?: string | null | undefined }, isOfTenant: boolean): void {
    for (const [field, address] of Object.entries({ url, jwksUri })) {
      const problem = typeof address === 'string' ? addressProblem(address, this.policy, isOfTenant) : undefined;
      if (problem !== undefined) throw invalidInput(`input.${field}`, problem);
    }
    if (url !== undefined && url.includes('?')) throw invalidInput('input.url', 'The URL of an issuer has no query.');
  }

  private async requireIssuer(reader: Reader, access: Access, action: Action, id: string): Promise<IssuerRow & Place> {
    const [row] = await reader.rows(findIssuers, [id]);
    return access.require(action, 'issuer', located(row), id, 'input.id');
  }
}

const COLUMNS: Readonly<Record<keyof Settings, string>> = {
  name: 'name',
  url: 'url',
  audience: 'audience',
  jwksUri: 'jwks_uri',
  clientId: 'client_id',
  subjectClaim: 'subject_claim',
  nameClaim: 'name_claim',
  groupsClaim: 'groups_claim',
  algorithms: 'algorithms',
  enabled: 'enabled',
};

function columnsOf(settings: { [Key in keyof Settings]?: Settings[Key] | undefined }): Record<string, unknown> {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([key, value]) => [COLUMNS[key as keyof Settings], value]));
}
