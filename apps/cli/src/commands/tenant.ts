import { pair, wholeNumber, type Context } from '../context.js';
import { PLAN, showPlan, type Plan } from '../plan.js';

export interface OnboardOptions {
  name: string;
  displayName?: string;
  quota?: string[];
  zone?: string[];
  project?: string;
  owner: string[];
  ownerToken?: true;
  plan?: true;
}

interface Answer {
  onboardTenant: {
    tenant: { id: string; name: string; state: string; owners: { name: string; principalId: string }[] } | null;
    project: { id: string; name: string } | null;
    ownerToken: string | null;
    plan: Plan | null;
  };
}

const ONBOARD = `mutation ($input: OnboardTenantInput!) {
  onboardTenant(input: $input) {
    tenant { id name state owners { name principalId } }
    project { id name }
    ownerToken
    ${PLAN}
  }
}`;

const HIGHEST_LIMIT = 1e12;

/** Makes a tenant with quota, zones, first project and owners, all or nothing. */
export async function onboardTenant({ output, client }: Context, options: OnboardOptions): Promise<void> {
  const input = {
    name: options.name,
    displayName: options.displayName,
    quota: options.quota?.map((text) => quotaLine(text)),
    zones: options.zone,
    project: options.project === undefined ? undefined : { name: options.project },
    owners: options.owner.map((owner) => (owner.startsWith('pri_') ? { principalId: owner } : { name: owner })),
    ownerToken: options.ownerToken,
    dryRun: options.plan,
  };
  const { onboardTenant: made } = await (await client()).mutate<Answer>(ONBOARD, { input });
  if (made.plan !== null) return showPlan(output, made.plan);
  const { tenant, project, ownerToken } = made;
  output.record(
    [
      ['tenant', tenant?.name],
      ['tenant id', tenant?.id],
      ['owners', tenant?.owners.map((owner) => owner.name).join(', ')],
      ['project', project?.name],
      ['project id', project?.id],
      ['owner token', ownerToken],
    ],
    made,
  );
  if (ownerToken !== null) output.note(`The token of ${tenant?.owners[0]?.name} is shown this once and kept nowhere.`);
}

function quotaLine(text: string): { resourceKey: string; limit: number } {
  const [resourceKey, limit] = pair(text, 'quota line');
  return { resourceKey, limit: wholeNumber(limit, `the limit of ${resourceKey}`, { from: 0, to: HIGHEST_LIMIT }) };
}
