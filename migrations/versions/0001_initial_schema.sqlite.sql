CREATE TABLE bundle_activation (
    id INTEGER NOT NULL,
    name VARCHAR(64) NOT NULL,
    version VARCHAR(64) NOT NULL,
    digest VARCHAR(64),
    archive_key VARCHAR(200),
    activated_by VARCHAR(128) NOT NULL,
    activated_at DATETIME NOT NULL,
    CONSTRAINT pk_bundle_activation PRIMARY KEY (id)
);

CREATE TABLE commitment (
    id INTEGER NOT NULL,
    transaction_uid VARCHAR(64) NOT NULL,
    calling_ae_title VARCHAR(16) NOT NULL,
    address VARCHAR(64) NOT NULL,
    instances JSON NOT NULL,
    requested_at DATETIME NOT NULL,
    reported_at DATETIME,
    CONSTRAINT pk_commitment PRIMARY KEY (id),
    CONSTRAINT uq_commitment_calling_ae_title_transaction_uid UNIQUE (calling_ae_title, transaction_uid)
);

CREATE TABLE daily_statistic_progress (
    id INTEGER NOT NULL,
    reading_id INTEGER NOT NULL,
    CONSTRAINT pk_daily_statistic_progress PRIMARY KEY (id)
);

CREATE TABLE destination_capabilities (
    id INTEGER NOT NULL,
    destination VARCHAR(64) NOT NULL,
    peer TEXT NOT NULL,
    accepted JSON NOT NULL,
    negotiated_at DATETIME NOT NULL,
    CONSTRAINT pk_destination_capabilities PRIMARY KEY (id),
    CONSTRAINT uq_destination_capabilities_destination UNIQUE (destination)
);

CREATE TABLE drift_evaluation (
    id INTEGER NOT NULL,
    day VARCHAR(10) NOT NULL,
    evaluated_at DATETIME NOT NULL,
    CONSTRAINT pk_drift_evaluation PRIMARY KEY (id),
    CONSTRAINT uq_drift_evaluation_day UNIQUE (day)
);

CREATE TABLE model (
    id INTEGER NOT NULL,
    name VARCHAR(64) NOT NULL,
    version VARCHAR(64) NOT NULL,
    weights_digest VARCHAR(64) NOT NULL,
    preparation TEXT NOT NULL,
    operating_points TEXT NOT NULL,
    since DATETIME NOT NULL,
    CONSTRAINT pk_model PRIMARY KEY (id),
    CONSTRAINT uq_model_identity UNIQUE (weights_digest, preparation, operating_points, name, version)
);

CREATE TABLE study (
    id INTEGER NOT NULL,
    study_instance_uid VARCHAR(64) NOT NULL,
    first_received_at DATETIME NOT NULL,
    priority INTEGER DEFAULT '0' NOT NULL,
    CONSTRAINT pk_study PRIMARY KEY (id),
    CONSTRAINT uq_study_study_instance_uid UNIQUE (study_instance_uid)
);

CREATE TABLE bundle_use (
    id INTEGER NOT NULL,
    host VARCHAR(64) NOT NULL,
    activation_id INTEGER NOT NULL,
    is_rejected BOOLEAN NOT NULL,
    detail TEXT NOT NULL,
    at DATETIME NOT NULL,
    CONSTRAINT pk_bundle_use PRIMARY KEY (id),
    CONSTRAINT uq_bundle_use_host UNIQUE (host),
    CONSTRAINT fk_bundle_use_activation_id_bundle_activation FOREIGN KEY(activation_id) REFERENCES bundle_activation (id)
);

CREATE TABLE constancy_run (
    id INTEGER NOT NULL,
    started_at DATETIME NOT NULL,
    ended_at DATETIME,
    state VARCHAR(16) NOT NULL,
    detail TEXT NOT NULL,
    model_id INTEGER,
    engine VARCHAR(128) DEFAULT '' NOT NULL,
    CONSTRAINT pk_constancy_run PRIMARY KEY (id),
    CONSTRAINT fk_constancy_run_model_id_model FOREIGN KEY(model_id) REFERENCES model (id)
);

CREATE TABLE daily_statistic (
    id INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    day VARCHAR(10) NOT NULL,
    calling_ae_title VARCHAR(16) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    films INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    total FLOAT NOT NULL,
    histogram JSON NOT NULL,
    CONSTRAINT pk_daily_statistic PRIMARY KEY (id),
    CONSTRAINT uq_daily_statistic_model_id_kind_calling_ae_title_day_key UNIQUE (model_id, kind, calling_ae_title, day, "key"),
    CONSTRAINT fk_daily_statistic_model_id_model FOREIGN KEY(model_id) REFERENCES model (id)
);

CREATE INDEX ix_daily_statistic_day ON daily_statistic (day);

CREATE TABLE drift (
    id INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    day VARCHAR(10) NOT NULL,
    calling_ae_title VARCHAR(16) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    reference_from VARCHAR(10) NOT NULL,
    reference_until VARCHAR(10) NOT NULL,
    window_from VARCHAR(10) NOT NULL,
    reference_films INTEGER NOT NULL,
    films INTEGER NOT NULL,
    reference_value FLOAT NOT NULL,
    value FLOAT NOT NULL,
    effect FLOAT NOT NULL,
    p_value FLOAT NOT NULL,
    adjusted_p FLOAT NOT NULL,
    is_drift BOOLEAN NOT NULL,
    evaluated_at DATETIME NOT NULL,
    CONSTRAINT pk_drift PRIMARY KEY (id),
    CONSTRAINT uq_drift_day_calling_ae_title_kind_key_model_id UNIQUE (day, calling_ae_title, kind, "key", model_id),
    CONSTRAINT fk_drift_model_id_model FOREIGN KEY(model_id) REFERENCES model (id)
);

CREATE TABLE film (
    id INTEGER NOT NULL,
    study_id INTEGER NOT NULL,
    sop_class_uid VARCHAR(64) NOT NULL,
    sop_instance_uid VARCHAR(64) NOT NULL,
    series_instance_uid VARCHAR(64) NOT NULL,
    transfer_syntax_uid VARCHAR(64) NOT NULL,
    patient_key VARCHAR(64) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    archive_key VARCHAR(200) NOT NULL,
    size_bytes BIGINT NOT NULL,
    calling_ae_title VARCHAR(16) NOT NULL,
    called_ae_title VARCHAR(16) NOT NULL,
    address VARCHAR(64) NOT NULL,
    association VARCHAR(32) DEFAULT '' NOT NULL,
    received_at DATETIME NOT NULL,
    is_original BOOLEAN NOT NULL,
    received_again_at DATETIME,
    removed_at DATETIME,
    CONSTRAINT pk_film PRIMARY KEY (id),
    CONSTRAINT uq_film_sop_instance_uid_digest UNIQUE (sop_instance_uid, digest),
    CONSTRAINT fk_film_study_id_study FOREIGN KEY(study_id) REFERENCES study (id)
);

CREATE INDEX ix_film_calling_ae_title_received_at ON film (calling_ae_title, received_at);

CREATE INDEX ix_film_received_at ON film (received_at);

CREATE INDEX ix_film_study_id ON film (study_id);

CREATE UNIQUE INDEX uq_film_original ON film (sop_instance_uid) WHERE is_original;

CREATE TABLE result (
    id INTEGER NOT NULL,
    study_id INTEGER NOT NULL,
    kind VARCHAR(32) NOT NULL,
    version INTEGER NOT NULL,
    sop_class_uid VARCHAR(64) NOT NULL,
    sop_instance_uid VARCHAR(64) NOT NULL,
    series_instance_uid VARCHAR(64) NOT NULL,
    transfer_syntax_uid VARCHAR(64) NOT NULL,
    patient_key VARCHAR(64) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    archive_key VARCHAR(200) NOT NULL,
    size_bytes BIGINT NOT NULL,
    composed_at DATETIME NOT NULL,
    removed_at DATETIME,
    CONSTRAINT pk_result PRIMARY KEY (id),
    CONSTRAINT uq_result_study_id_kind_version UNIQUE (study_id, kind, version),
    CONSTRAINT fk_result_study_id_study FOREIGN KEY(study_id) REFERENCES study (id),
    CONSTRAINT uq_result_sop_instance_uid UNIQUE (sop_instance_uid)
);

CREATE TABLE shadow_progress (
    id INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    reading_id INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    CONSTRAINT pk_shadow_progress PRIMARY KEY (id),
    CONSTRAINT uq_shadow_progress_model_id UNIQUE (model_id),
    CONSTRAINT fk_shadow_progress_model_id_model FOREIGN KEY(model_id) REFERENCES model (id)
);

CREATE TABLE constancy_baseline (
    id INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    engine VARCHAR(128) NOT NULL,
    seed INTEGER NOT NULL,
    kind VARCHAR(16) NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    value FLOAT NOT NULL,
    run_id INTEGER NOT NULL,
    accepted_at DATETIME NOT NULL,
    accepted_by VARCHAR(64) NOT NULL,
    CONSTRAINT pk_constancy_baseline PRIMARY KEY (id),
    CONSTRAINT uq_constancy_baseline_model_id_engine_seed_kind_key UNIQUE (model_id, engine, seed, kind, "key"),
    CONSTRAINT fk_constancy_baseline_model_id_model FOREIGN KEY(model_id) REFERENCES model (id),
    CONSTRAINT fk_constancy_baseline_run_id_constancy_run FOREIGN KEY(run_id) REFERENCES constancy_run (id)
);

CREATE TABLE constancy_film (
    id INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    sop_instance_uid VARCHAR(64) NOT NULL,
    registered_at DATETIME NOT NULL,
    film_id INTEGER,
    CONSTRAINT pk_constancy_film PRIMARY KEY (id),
    CONSTRAINT fk_constancy_film_run_id_constancy_run FOREIGN KEY(run_id) REFERENCES constancy_run (id),
    CONSTRAINT uq_constancy_film_sop_instance_uid UNIQUE (sop_instance_uid),
    CONSTRAINT uq_constancy_film_film_id UNIQUE (film_id),
    CONSTRAINT fk_constancy_film_film_id_film FOREIGN KEY(film_id) REFERENCES film (id)
);

CREATE INDEX ix_constancy_film_run_id ON constancy_film (run_id);

CREATE TABLE constancy_value (
    id INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    kind VARCHAR(16) NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    value FLOAT NOT NULL,
    expected FLOAT,
    tolerance FLOAT,
    CONSTRAINT pk_constancy_value PRIMARY KEY (id),
    CONSTRAINT uq_constancy_value_run_id_seed_kind_key UNIQUE (run_id, seed, kind, "key"),
    CONSTRAINT fk_constancy_value_run_id_constancy_run FOREIGN KEY(run_id) REFERENCES constancy_run (id)
);

CREATE TABLE delivery (
    id INTEGER NOT NULL,
    result_id INTEGER NOT NULL,
    destination VARCHAR(64) NOT NULL,
    created_at DATETIME NOT NULL,
    delivered_at DATETIME,
    status INTEGER,
    confirmed_at DATETIME,
    failure_reason INTEGER,
    CONSTRAINT pk_delivery PRIMARY KEY (id),
    CONSTRAINT uq_delivery_result_id_destination UNIQUE (result_id, destination),
    CONSTRAINT fk_delivery_result_id_result FOREIGN KEY(result_id) REFERENCES result (id)
);

CREATE INDEX ix_delivery_created_at ON delivery (created_at);

CREATE INDEX ix_delivery_destination_delivered_at ON delivery (destination, delivered_at);

CREATE TABLE reading (
    id INTEGER NOT NULL,
    film_id INTEGER NOT NULL,
    read_at DATETIME NOT NULL,
    not_analysed VARCHAR(16),
    detail TEXT NOT NULL,
    notes JSON NOT NULL,
    geometry JSON,
    grayscale TEXT NOT NULL,
    analysed_area JSON,
    structures JSON,
    appearance JSON,
    observations JSON,
    model_name VARCHAR(64),
    model_version VARCHAR(64),
    model_manufacturer VARCHAR(64),
    weights_digest VARCHAR(64),
    preparation TEXT,
    operating_points TEXT,
    CONSTRAINT pk_reading PRIMARY KEY (id),
    CONSTRAINT fk_reading_film_id_film FOREIGN KEY(film_id) REFERENCES film (id)
);

CREATE INDEX ix_reading_film_id ON reading (film_id);

CREATE INDEX ix_reading_not_analysed ON reading (not_analysed, film_id) WHERE not_analysed IS NOT NULL;

CREATE TABLE shadow (
    id INTEGER NOT NULL,
    model_id INTEGER NOT NULL,
    film_id INTEGER NOT NULL,
    read_at DATETIME NOT NULL,
    not_analysed VARCHAR(16),
    detail TEXT NOT NULL,
    CONSTRAINT pk_shadow PRIMARY KEY (id),
    CONSTRAINT uq_shadow_film_id_model_id UNIQUE (film_id, model_id),
    CONSTRAINT fk_shadow_model_id_model FOREIGN KEY(model_id) REFERENCES model (id),
    CONSTRAINT fk_shadow_film_id_film FOREIGN KEY(film_id) REFERENCES film (id)
);

CREATE INDEX ix_shadow_model_id_read_at ON shadow (model_id, read_at);

CREATE TABLE commitment_request (
    id INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    transaction_uid VARCHAR(64) NOT NULL,
    requested_at DATETIME NOT NULL,
    CONSTRAINT pk_commitment_request PRIMARY KEY (id),
    CONSTRAINT fk_commitment_request_delivery_id_delivery FOREIGN KEY(delivery_id) REFERENCES delivery (id),
    CONSTRAINT uq_commitment_request_transaction_uid UNIQUE (transaction_uid)
);

CREATE INDEX ix_commitment_request_delivery_id ON commitment_request (delivery_id);

CREATE TABLE finding (
    id INTEGER NOT NULL,
    reading_id INTEGER NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    code_value VARCHAR(16) NOT NULL,
    code_scheme VARCHAR(16) NOT NULL,
    code_meaning VARCHAR(64) NOT NULL,
    site JSON,
    score FLOAT NOT NULL,
    operating_point FLOAT NOT NULL,
    presence VARCHAR(16) NOT NULL,
    calibrated BOOLEAN NOT NULL,
    laterality VARCHAR(16),
    regions JSON NOT NULL,
    CONSTRAINT pk_finding PRIMARY KEY (id),
    CONSTRAINT uq_finding_reading_id_key UNIQUE (reading_id, "key"),
    CONSTRAINT fk_finding_reading_id_reading FOREIGN KEY(reading_id) REFERENCES reading (id)
);

CREATE TABLE job (
    id INTEGER NOT NULL,
    stage VARCHAR(16) NOT NULL,
    film_id INTEGER,
    study_id INTEGER,
    delivery_id INTEGER,
    commitment_id INTEGER,
    state VARCHAR(16) NOT NULL,
    priority INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    due_at DATETIME NOT NULL,
    lease_owner VARCHAR(128),
    lease_until DATETIME,
    reason VARCHAR(16),
    detail TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    queued_at DATETIME NOT NULL,
    ended_at DATETIME,
    of_study_id INTEGER,
    CONSTRAINT pk_job PRIMARY KEY (id),
    CONSTRAINT uq_job_film_id UNIQUE (film_id),
    CONSTRAINT uq_job_delivery_id UNIQUE (delivery_id),
    CONSTRAINT uq_job_commitment_id UNIQUE (commitment_id),
    CONSTRAINT ck_job_one_subject CHECK ((stage = 'read' AND film_id IS NOT NULL AND study_id IS NULL AND delivery_id IS NULL AND commitment_id IS NULL) OR (stage = 'compose' AND film_id IS NULL AND study_id IS NOT NULL AND delivery_id IS NULL AND commitment_id IS NULL) OR (stage = 'deliver' AND film_id IS NULL AND study_id IS NULL AND delivery_id IS NOT NULL AND commitment_id IS NULL) OR (stage = 'commit' AND film_id IS NULL AND study_id IS NULL AND delivery_id IS NULL AND commitment_id IS NOT NULL)),
    CONSTRAINT fk_job_film_id_film FOREIGN KEY(film_id) REFERENCES film (id),
    CONSTRAINT fk_job_study_id_study FOREIGN KEY(study_id) REFERENCES study (id),
    CONSTRAINT fk_job_delivery_id_delivery FOREIGN KEY(delivery_id) REFERENCES delivery (id),
    CONSTRAINT fk_job_commitment_id_commitment FOREIGN KEY(commitment_id) REFERENCES commitment (id)
);

CREATE INDEX ix_job_claim_order ON job (stage, (julianday(due_at) - priority / 86400.0), id) WHERE state = 'waiting';

CREATE INDEX ix_job_created_at ON job (created_at);

CREATE INDEX ix_job_due ON job (stage, due_at) WHERE state = 'waiting';

CREATE INDEX ix_job_ended_at ON job (ended_at);

CREATE INDEX ix_job_of_study_id ON job (of_study_id);

CREATE INDEX ix_job_running ON job (lease_until) WHERE state = 'running';

CREATE INDEX ix_job_stage ON job (stage, id);

CREATE INDEX ix_job_state ON job (state, id);

CREATE INDEX ix_job_study_id ON job (study_id);

CREATE TABLE measurement (
    id INTEGER NOT NULL,
    reading_id INTEGER NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    code_value VARCHAR(16) NOT NULL,
    code_scheme VARCHAR(16) NOT NULL,
    code_meaning VARCHAR(64) NOT NULL,
    value FLOAT NOT NULL,
    unit JSON NOT NULL,
    line JSON NOT NULL,
    provenance TEXT NOT NULL,
    topic VARCHAR(16) DEFAULT 'proportions' NOT NULL,
    site JSON,
    laterality VARCHAR(16),
    CONSTRAINT pk_measurement PRIMARY KEY (id),
    CONSTRAINT uq_measurement_reading_id_key UNIQUE (reading_id, "key"),
    CONSTRAINT fk_measurement_reading_id_reading FOREIGN KEY(reading_id) REFERENCES reading (id)
);

CREATE TABLE shadow_finding (
    id INTEGER NOT NULL,
    shadow_id INTEGER NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    score FLOAT NOT NULL,
    operating_point FLOAT NOT NULL,
    presence VARCHAR(16) NOT NULL,
    CONSTRAINT pk_shadow_finding PRIMARY KEY (id),
    CONSTRAINT uq_shadow_finding_shadow_id_key UNIQUE (shadow_id, "key"),
    CONSTRAINT fk_shadow_finding_shadow_id_shadow FOREIGN KEY(shadow_id) REFERENCES shadow (id)
);

CREATE TABLE heat_map (
    id INTEGER NOT NULL,
    finding_id INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    columns INTEGER NOT NULL,
    area JSON NOT NULL,
    levels BLOB NOT NULL,
    CONSTRAINT pk_heat_map PRIMARY KEY (id),
    CONSTRAINT uq_heat_map_finding_id UNIQUE (finding_id),
    CONSTRAINT fk_heat_map_finding_id_finding FOREIGN KEY(finding_id) REFERENCES finding (id)
);

CREATE TABLE job_event (
    id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    at DATETIME NOT NULL,
    event VARCHAR(16) NOT NULL,
    state VARCHAR(16) NOT NULL,
    actor VARCHAR(128) NOT NULL,
    detail TEXT NOT NULL,
    CONSTRAINT pk_job_event PRIMARY KEY (id),
    CONSTRAINT fk_job_event_job_id_job FOREIGN KEY(job_id) REFERENCES job (id)
);

CREATE INDEX ix_job_event_job_id ON job_event (job_id);

CREATE TABLE periodic_job (
    name VARCHAR(64) NOT NULL,
    host VARCHAR(64) NOT NULL,
    role VARCHAR(16) NOT NULL,
    started_at DATETIME NOT NULL,
    duration_s FLOAT NOT NULL,
    outcome VARCHAR(16) NOT NULL,
    detail TEXT NOT NULL,
    next_at DATETIME,
    CONSTRAINT pk_periodic_job PRIMARY KEY (name, host, role)
);

CREATE VIEW v1_films AS
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.series_instance_uid, f.sop_instance_uid, f.sop_class_uid,
       f.transfer_syntax_uid, f.calling_ae_title, f.called_ae_title, f.address, f.received_at,
       strftime('%Y-%m-%d', f.received_at) AS received_day, CAST(strftime('%H', f.received_at) AS INTEGER) AS received_hour, f.size_bytes,
       f.is_original, f.removed_at, j.id AS job_id, j.state, j.reason, j.detail, r.id AS reading_id, r.read_at,
       json_extract(r.geometry, '$.view') AS view, json_extract(r.geometry, '$.rows') AS film_rows,
       json_extract(r.geometry, '$.columns') AS film_columns, r.model_name, r.model_version, r.weights_digest
FROM film f
JOIN study s ON s.id = f.study_id
LEFT JOIN job j ON j.film_id = f.id AND j.stage = 'read'
LEFT JOIN reading r ON r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE VIEW v1_jobs AS
SELECT j.id AS job_id, j.stage, j.state, j.reason, j.detail, j.priority, j.attempts, j.crashes,
       j.created_at, j.queued_at, j.due_at, j.ended_at, j.lease_owner, j.lease_until,
       j.film_id, j.of_study_id AS study_id, j.delivery_id, s.study_instance_uid,
       coalesce(f.sop_instance_uid, u.sop_instance_uid, c.transaction_uid) AS sop_instance_uid,
       coalesce(f.calling_ae_title, c.calling_ae_title) AS calling_ae_title, d.destination,
       strftime('%Y-%m-%d %H:%M:%f000', j.due_at, '-' || j.priority || ' seconds') AS claim_order
FROM job j
LEFT JOIN study s ON s.id = j.of_study_id
LEFT JOIN film f ON f.id = j.film_id
LEFT JOIN delivery d ON d.id = j.delivery_id
LEFT JOIN result u ON u.id = d.result_id
LEFT JOIN commitment c ON c.id = j.commitment_id;

CREATE VIEW v1_findings AS
SELECT x.id AS finding_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, strftime('%Y-%m-%d', f.received_at) AS received_day, r.read_at,
       r.model_name, r.model_version, r.weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.code_value, x.code_scheme, x.code_meaning, json_extract(x.site, '$.meaning') AS site,
       x.laterality, x.score, x.operating_point, x.presence, x.calibrated
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN finding x
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE VIEW v1_measurements AS
SELECT x.id AS measurement_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, strftime('%Y-%m-%d', f.received_at) AS received_day, r.read_at,
       r.model_name, r.model_version, r.weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.topic, x.code_value, x.code_scheme, x.code_meaning, json_extract(x.site, '$.meaning') AS site,
       x.laterality, x.value, json_extract(x.unit, '$.value') AS unit, x.provenance
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN measurement x
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE VIEW v1_deliveries AS
SELECT d.id AS delivery_id, d.destination, u.id AS result_id, u.study_id, s.study_instance_uid, u.kind, u.version,
       u.sop_class_uid, u.sop_instance_uid, u.size_bytes, u.composed_at, d.created_at, d.delivered_at,
       round((julianday(d.delivered_at) - julianday(d.created_at)) * 86400.0, 3) AS delivery_s, d.status, d.confirmed_at,
       d.failure_reason, j.id AS job_id, j.state, j.reason, j.detail, j.attempts, j.due_at
FROM delivery d
JOIN result u ON u.id = d.result_id
JOIN study s ON s.id = u.study_id
LEFT JOIN job j ON j.delivery_id = d.id AND j.stage = 'deliver';

CREATE VIEW v1_turnaround AS
SELECT t.film_id, t.study_id, t.study_instance_uid, t.sop_instance_uid, t.calling_ae_title, t.received_at,
       t.received_day, t.claimed_at, t.read_at, t.composed_at, t.delivered_at, t.state, t.reason,
       round((julianday(t.claimed_at) - julianday(t.received_at)) * 86400.0, 3) AS wait_s, round((julianday(t.read_at) - julianday(t.claimed_at)) * 86400.0, 3) AS read_s,
       round((julianday(t.composed_at) - julianday(t.read_at)) * 86400.0, 3) AS compose_s, round((julianday(t.delivered_at) - julianday(t.composed_at)) * 86400.0, 3) AS deliver_s,
       round((julianday(t.delivered_at) - julianday(t.received_at)) * 86400.0, 3) AS total_s
FROM (
    SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
           strftime('%Y-%m-%d', f.received_at) AS received_day,
           (SELECT min(e.at) FROM job_event e WHERE e.job_id = j.id AND e.event = 'claimed') AS claimed_at,
           j.ended_at AS read_at,
           (SELECT min(u.composed_at) FROM result u WHERE u.study_id = f.study_id AND u.composed_at >= j.ended_at) AS composed_at,
           (SELECT min(d.delivered_at) FROM result u JOIN delivery d ON d.result_id = u.id
            WHERE u.study_id = f.study_id AND u.composed_at >= j.ended_at) AS delivered_at,
           j.state, j.reason
    FROM film f
    JOIN study s ON s.id = f.study_id
    LEFT JOIN job j ON j.film_id = f.id
) t
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = t.film_id);

CREATE VIEW v1_daily_statistics AS
SELECT d.day, d.day || ' 00:00:00.000000' AS starts_at, d.calling_ae_title, m.name AS model_name,
       m.version AS model_version, m.weights_digest, d.kind, d.key, d.films, d.hits, d.total / d.films AS mean
FROM daily_statistic d JOIN model m ON m.id = d.model_id;

CREATE VIEW v1_drift AS
SELECT d.day, d.evaluated_at, d.calling_ae_title, m.name AS model_name, m.version AS model_version, m.weights_digest,
       d.kind, d.key, d.reference_from, d.reference_until, d.window_from, d.reference_films, d.films,
       d.reference_value, d.value, d.effect, d.p_value, d.adjusted_p, d.is_drift
FROM drift d JOIN model m ON m.id = d.model_id;

CREATE VIEW v1_constancy AS
SELECT r.id AS run_id, r.started_at, r.ended_at, r.state, r.detail, m.name AS model_name, m.version AS model_version,
       m.weights_digest, r.engine, v.seed, v.kind, v.key, v.value, v.expected, v.tolerance,
       abs(v.value - v.expected) <= v.tolerance AS is_within_tolerance
FROM constancy_run r LEFT JOIN model m ON m.id = r.model_id LEFT JOIN constancy_value v ON v.run_id = r.id;

CREATE VIEW v1_shadow AS
SELECT h.id AS shadow_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title,
       f.received_at, h.read_at, m.name AS model_name, m.version AS model_version, m.weights_digest, h.not_analysed,
       y.key, y.score, y.operating_point, y.presence, r.model_name AS primary_model_name,
       r.model_version AS primary_model_version, r.not_analysed AS primary_not_analysed, x.score AS primary_score,
       x.operating_point AS primary_operating_point, x.presence AS primary_presence,
       (y.score >= y.operating_point) <> (x.score >= x.operating_point) AS differs
FROM shadow h
JOIN film f ON f.id = h.film_id
JOIN study s ON s.id = f.study_id
JOIN model m ON m.id = h.model_id
LEFT JOIN shadow_finding y ON y.shadow_id = h.id
LEFT JOIN reading r ON r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)
LEFT JOIN finding x ON x.reading_id = r.id AND x.key = y.key;

CREATE VIEW v1_periodic_jobs AS
SELECT p.name, p.host, p.role, p.started_at, p.duration_s, p.outcome, p.detail, p.next_at
FROM periodic_job p;

-- SQLite's planner assumes ten rows for each value of any index, and the node never runs a full ANALYZE. The numbers are
-- the rows of a large node, then the rows with equal first column of the index, equal first two columns, and so on. For
-- states they are those of the states that are queried, not the many jobs that are done.
ANALYZE sqlite_schema;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('job', 'ix_job_stage', '3000000 1000000 1'),
    ('job', 'ix_job_state', '3000000 1000 1'),
    ('job', 'ix_job_ended_at', '3000000 1'),
    ('job', 'ix_job_created_at', '3000000 1'),
    ('job', 'ix_job_study_id', '3000000 2'),
    ('job', 'ix_job_of_study_id', '3000000 3'),
    ('job', 'ix_job_claim_order', '1000 300 2 1'),
    ('job', 'ix_job_due', '1000 300 2'),
    ('film', 'ix_film_study_id', '1000000 2'),
    ('film', 'ix_film_received_at', '1000000 1'),
    ('film', 'ix_film_calling_ae_title_received_at', '1000000 100000 1'),
    ('reading', 'ix_reading_film_id', '1000000 1'),
    ('delivery', 'ix_delivery_created_at', '1000000 1'),
    ('delivery', 'ix_delivery_destination_delivered_at', '1000000 300000 1');
