import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Operations1764000600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    // Leases are renewed in place several times a second: free room in each page keeps those updates off the indexes.
    await runner.query(`
      CREATE TABLE operation (
        id text COLLATE "C" NOT NULL,
        kind text COLLATE "C" NOT NULL,
        kind_version integer NOT NULL,
        handler text COLLATE "C" NOT NULL,
        resource_kind text COLLATE "C" NOT NULL,
        resource_id text COLLATE "C" NOT NULL,
        tenant_id text COLLATE "C",
        project_id text COLLATE "C",
        root_id text COLLATE "C" NOT NULL,
        parent_id text COLLATE "C",
        parent_step integer,
        parent_attempt integer,
        compensates_id text COLLATE "C",
        origin text NOT NULL DEFAULT 'USER',
        principal_id text COLLATE "C",
        request_id text,
        backend_id text COLLATE "C",
        input jsonb NOT NULL,
        step_names text[] NOT NULL,
        pivot_index integer,
        state text NOT NULL DEFAULT 'QUEUED',
        attempt integer NOT NULL DEFAULT 1,
        direction text NOT NULL DEFAULT 'FORWARD',
        step_index integer NOT NULL DEFAULT 0,
        steps_done integer NOT NULL DEFAULT 0,
        pivot_passed boolean NOT NULL DEFAULT false,
        cancel_requested_at timestamptz,
        cancel_requested_by text COLLATE "C",
        turn smallint NOT NULL DEFAULT 1,
        wake_at timestamptz,
        wake_signal text COLLATE "C",
        deadline_ms bigint NOT NULL,
        deadline_at timestamptz,
        lease_owner text COLLATE "C",
        lease_until timestamptz,
        fence bigint NOT NULL DEFAULT 0,
        pending_children integer NOT NULL DEFAULT 0,
        fan_out jsonb,
        blocker jsonb,
        error jsonb,
        abandonment jsonb,
        queued_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz,
        ended_at timestamptz,
        revision bigint NOT NULL DEFAULT 1,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT operation_pkey PRIMARY KEY (id),
        CONSTRAINT operation_state CHECK (state IN ('QUEUED', 'RUNNING', 'WAITING', 'UNDOING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'STUCK')),
        CONSTRAINT operation_origin CHECK (origin IN ('USER', 'RECONCILER', 'SYSTEM')),
        CONSTRAINT operation_direction CHECK (direction IN ('FORWARD', 'UNDO')),
        CONSTRAINT operation_ended CHECK ((state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (ended_at IS NOT NULL)),
        CONSTRAINT operation_ended_rests CHECK (ended_at IS NULL OR (wake_at IS NULL AND lease_owner IS NULL AND pending_children = 0)),
        CONSTRAINT operation_lease CHECK ((lease_owner IS NULL) = (lease_until IS NULL) AND (lease_owner IS NULL OR wake_at IS NOT NULL)),
        CONSTRAINT operation_pending_children CHECK (pending_children >= 0),
        CONSTRAINT operation_scope CHECK (tenant_id IS NOT NULL OR project_id IS NULL),
        CONSTRAINT operation_family CHECK ((parent_id IS NULL) = (parent_step IS NULL) AND (parent_id IS NULL) = (parent_attempt IS NULL) AND (parent_id IS NOT NULL OR root_id = id))
      ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)`);
    // What a worker may claim, by lane (tenant and backend), what has begun first.
    await runner.query(`
      CREATE INDEX operation_ready ON operation
        (coalesce(tenant_id, ''), coalesce(backend_id, ''), turn, wake_at, id)
      WHERE wake_at IS NOT NULL AND lease_owner IS NULL`);
    await runner.query('CREATE INDEX operation_held ON operation (tenant_id, backend_id) WHERE lease_owner IS NOT NULL');
    await runner.query('CREATE INDEX operation_unfinished ON operation (handler) WHERE ended_at IS NULL');
    await runner.query('CREATE INDEX operation_signal ON operation (wake_signal) WHERE wake_signal IS NOT NULL');
    await runner.query('CREATE INDEX operation_parent ON operation (parent_id, parent_attempt, parent_step) WHERE parent_id IS NOT NULL');
    await runner.query('CREATE INDEX operation_resource ON operation (resource_id, id)');
    await runner.query('CREATE INDEX operation_tenant ON operation (tenant_id, id)');
    await runner.query('CREATE INDEX operation_project ON operation (project_id, id)');
    await runner.query(`CREATE INDEX operation_history ON operation (kind, ended_at) WHERE state = 'SUCCEEDED'`);
    // Leases and fences are nobody's business outside: only what people can see raises the revision and writes an event.
    await runner.query(`
      CREATE TRIGGER operation_touch BEFORE UPDATE ON operation FOR EACH ROW
      WHEN ((OLD.state, OLD.attempt, OLD.direction, OLD.step_index, OLD.steps_done, OLD.pivot_passed, OLD.cancel_requested_at,
             OLD.pending_children, OLD.blocker, OLD.error, OLD.abandonment)
            IS DISTINCT FROM
            (NEW.state, NEW.attempt, NEW.direction, NEW.step_index, NEW.steps_done, NEW.pivot_passed, NEW.cancel_requested_at,
             NEW.pending_children, NEW.blocker, NEW.error, NEW.abandonment))
      EXECUTE FUNCTION muon_touch_row()`);
    await runner.query(`
      CREATE TRIGGER operation_watch AFTER INSERT OR DELETE ON operation
      FOR EACH ROW EXECUTE FUNCTION muon_watch('op')`);
    await runner.query(`
      CREATE TRIGGER operation_watch_update AFTER UPDATE ON operation
      FOR EACH ROW WHEN (OLD.revision <> NEW.revision) EXECUTE FUNCTION muon_watch('op')`);
    await createSteps(runner);
    await createLocks(runner);
    await runner.query(CLAIM_FUNCTION);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP FUNCTION operation_claim');
    for (const table of ['lease', 'tombstone', 'resource_lock', 'operation_attempt', 'operation_step', 'operation']) {
      await runner.query(`DROP TABLE ${table}`);
    }
  }
}

async function createSteps(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE operation_step (
      operation_id text COLLATE "C" NOT NULL,
      attempt integer NOT NULL,
      index integer NOT NULL,
      name text NOT NULL,
      state text NOT NULL,
      tries integer NOT NULL DEFAULT 0,
      memo jsonb,
      output jsonb,
      error jsonb,
      started_at timestamptz NOT NULL DEFAULT now(),
      since timestamptz,
      ended_at timestamptz,
      CONSTRAINT operation_step_pkey PRIMARY KEY (operation_id, attempt, index),
      CONSTRAINT operation_step_state CHECK (state IN ('STARTED', 'DONE', 'FAILED', 'UNDONE'))
    ) WITH (fillfactor = 80)`);
  await runner.query(`
    CREATE TABLE operation_attempt (
      operation_id text COLLATE "C" NOT NULL,
      attempt integer NOT NULL,
      state text NOT NULL,
      error jsonb,
      principal_id text COLLATE "C",
      queued_at timestamptz NOT NULL,
      started_at timestamptz,
      ended_at timestamptz NOT NULL,
      CONSTRAINT operation_attempt_pkey PRIMARY KEY (operation_id, attempt)
    )`);
}

async function createLocks(runner: QueryRunner): Promise<void> {
  await runner.query(`
    CREATE TABLE resource_lock (
      resource_id text COLLATE "C" NOT NULL,
      operation_id text COLLATE "C" NOT NULL,
      root_operation_id text COLLATE "C" NOT NULL,
      successor_operation_id text COLLATE "C",
      created_at timestamptz NOT NULL DEFAULT now(),
      CONSTRAINT resource_lock_pkey PRIMARY KEY (resource_id)
    )`);
  await runner.query('CREATE INDEX resource_lock_root ON resource_lock (root_operation_id)');
  await runner.query(
    'CREATE INDEX resource_lock_successor ON resource_lock (successor_operation_id) WHERE successor_operation_id IS NOT NULL',
  );
  await runner.query(`
    CREATE TABLE tombstone (
      backend_id text COLLATE "C" NOT NULL,
      object_kind text COLLATE "C" NOT NULL,
      object_id text COLLATE "C" NOT NULL,
      reason text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      settled_at timestamptz,
      sweep_operation_id text COLLATE "C",
      CONSTRAINT tombstone_pkey PRIMARY KEY (backend_id, object_kind, object_id)
    )`);
  await runner.query('CREATE INDEX tombstone_unsettled ON tombstone (backend_id, created_at) WHERE settled_at IS NULL');
  await runner.query(`
    CREATE TABLE lease (
      name text COLLATE "C" NOT NULL,
      owner text COLLATE "C",
      fence bigint NOT NULL DEFAULT 0,
      until timestamptz,
      due_at timestamptz NOT NULL DEFAULT now(),
      failures integer NOT NULL DEFAULT 0,
      CONSTRAINT lease_pkey PRIMARY KEY (name)
    )`);
}

/**
 * Hands operations to a worker. It runs wholly in the server and one caller at a time, so that counts of running work
 * are exact, no two workers choose the same operation, and a worker that is frozen in mid-call holds up nobody.
 *
 * Lanes are the pairs of tenant and backend that have something to do, found by skipping through the index. From each
 * lane with a free token come a few candidates; the tenant's running operations plus the candidate's place among its own
 * give its rank, and the lowest ranks win.
 */
const CLAIM_FUNCTION = `
  CREATE FUNCTION operation_claim(
    p_owner text, p_handlers text[], p_slots integer, p_lease_ms integer, p_backend_limit integer, p_backend_limits jsonb
  ) RETURNS TABLE (id text, fence bigint) LANGUAGE plpgsql AS $$
  #variable_conflict use_column
  DECLARE
    v_now timestamptz;
    v_chosen text[];
  BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('muon.operation_claim'));
    v_now := clock_timestamp();

    UPDATE operation SET lease_owner = NULL, lease_until = NULL
    WHERE operation.id IN (
      SELECT o.id FROM operation AS o WHERE o.lease_owner IS NOT NULL AND o.lease_until <= v_now
      ORDER BY o.id LIMIT 200 FOR UPDATE SKIP LOCKED);

    WITH RECURSIVE lane AS (
      (SELECT coalesce(o.tenant_id, '') AS tenant, coalesce(o.backend_id, '') AS backend
       FROM operation AS o WHERE o.wake_at IS NOT NULL AND o.lease_owner IS NULL
       ORDER BY coalesce(o.tenant_id, ''), coalesce(o.backend_id, '') LIMIT 1)
      UNION ALL
      SELECT next.tenant, next.backend FROM lane CROSS JOIN LATERAL (
        SELECT coalesce(o.tenant_id, '') AS tenant, coalesce(o.backend_id, '') AS backend
        FROM operation AS o WHERE o.wake_at IS NOT NULL AND o.lease_owner IS NULL
          AND (coalesce(o.tenant_id, ''), coalesce(o.backend_id, '')) > (lane.tenant, lane.backend)
        ORDER BY coalesce(o.tenant_id, ''), coalesce(o.backend_id, '') LIMIT 1) AS next
    ), held AS MATERIALIZED (
      SELECT coalesce(o.tenant_id, '') AS tenant, coalesce(o.backend_id, '') AS backend, count(*)::integer AS running
      FROM operation AS o WHERE o.lease_owner IS NOT NULL GROUP BY 1, 2
    ), tenant_load AS (
      SELECT tenant, sum(running)::integer AS running FROM held GROUP BY tenant
    ), backend_load AS (
      SELECT backend, sum(running)::integer AS running FROM held GROUP BY backend
    ), open_lane AS MATERIALIZED (
      SELECT lane.tenant, lane.backend, coalesce(tenant_load.running, 0) AS running,
             CASE WHEN lane.backend = '' THEN p_slots
                  ELSE coalesce((p_backend_limits ->> lane.backend)::integer, p_backend_limit)
                       - coalesce(backend_load.running, 0) END AS free,
             -- With more lanes than slots, few candidates of each are enough.
             CASE WHEN count(*) OVER () > p_slots THEN 2 ELSE p_slots END AS width
      FROM lane
      LEFT JOIN tenant_load ON tenant_load.tenant = lane.tenant
      LEFT JOIN backend_load ON backend_load.backend = lane.backend
    ), candidate AS (
      SELECT l.tenant, l.backend, l.running, l.free, c.id, c.turn, c.wake_at
      FROM open_lane AS l CROSS JOIN LATERAL (
        (SELECT o.id, o.turn, o.wake_at FROM operation AS o
         WHERE o.wake_at IS NOT NULL AND o.lease_owner IS NULL
           AND coalesce(o.tenant_id, '') = l.tenant AND coalesce(o.backend_id, '') = l.backend
           AND o.turn = 0 AND o.wake_at <= v_now AND o.handler = ANY (p_handlers)
         ORDER BY o.wake_at, o.id LIMIT least(l.width, l.free))
        UNION ALL
        (SELECT o.id, o.turn, o.wake_at FROM operation AS o
         WHERE o.wake_at IS NOT NULL AND o.lease_owner IS NULL
           AND coalesce(o.tenant_id, '') = l.tenant AND coalesce(o.backend_id, '') = l.backend
           AND o.turn = 1 AND o.wake_at <= v_now AND o.handler = ANY (p_handlers)
         ORDER BY o.wake_at, o.id LIMIT least(l.width, l.free))
      ) AS c
      WHERE l.free > 0
    ), ranked AS (
      SELECT candidate.*,
             running + row_number() OVER (PARTITION BY tenant ORDER BY turn, wake_at, id) AS rank
      FROM candidate
    ), metered AS (
      SELECT ranked.*, row_number() OVER (PARTITION BY backend ORDER BY rank, turn, wake_at, id) AS token FROM ranked
    ), picked AS (
      SELECT metered.id FROM metered WHERE backend = '' OR token <= free
      ORDER BY rank, turn, wake_at, id LIMIT p_slots
    )
    SELECT array_agg(picked.id) INTO v_chosen FROM picked;

    IF v_chosen IS NULL THEN
      RETURN;
    END IF;
    RETURN QUERY
    WITH mine AS (
      SELECT o.id FROM operation AS o
      WHERE o.id = ANY (v_chosen) AND o.lease_owner IS NULL AND o.wake_at <= v_now
      ORDER BY o.id FOR UPDATE SKIP LOCKED
    ), claimed AS (
      UPDATE operation AS o SET
        lease_owner = p_owner,
        lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond',
        fence = o.fence + 1,
        turn = 0,
        wake_signal = NULL,
        started_at = coalesce(o.started_at, v_now),
        deadline_at = coalesce(o.deadline_at, v_now + o.deadline_ms * interval '1 millisecond'),
        state = CASE o.state WHEN 'QUEUED' THEN 'RUNNING' ELSE o.state END,
        pivot_passed = o.pivot_passed OR (
          o.direction = 'FORWARD' AND o.cancel_requested_at IS NULL AND coalesce(o.step_index >= o.pivot_index, false))
      FROM mine WHERE o.id = mine.id
      RETURNING o.id, o.fence, o.attempt, o.step_index, o.step_names,
                (o.direction = 'FORWARD' AND o.cancel_requested_at IS NULL AND o.step_index < cardinality(o.step_names)) AS begins
    ), begun AS (
      INSERT INTO operation_step (operation_id, attempt, index, name, state, started_at, since)
      SELECT claimed.id, claimed.attempt, claimed.step_index, claimed.step_names[claimed.step_index + 1], 'STARTED', v_now, v_now
      FROM claimed WHERE claimed.begins
      ON CONFLICT DO NOTHING
    )
    SELECT claimed.id, claimed.fence FROM claimed;
  END $$`;
