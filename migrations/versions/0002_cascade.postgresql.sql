CREATE TABLE cascade_step (
    id BIGSERIAL NOT NULL,
    reading_id BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    name TEXT NOT NULL,
    state VARCHAR(16) NOT NULL,
    reason VARCHAR(16),
    detail TEXT NOT NULL,
    analysed_area JSON,
    gives_structures BOOLEAN NOT NULL,
    model_name VARCHAR(64),
    model_version VARCHAR(64),
    model_manufacturer VARCHAR(64),
    weights_digest VARCHAR(64),
    preparation TEXT,
    operating_points TEXT,
    CONSTRAINT pk_cascade_step PRIMARY KEY (id),
    CONSTRAINT uq_cascade_step_reading_id_ordinal UNIQUE (reading_id, ordinal),
    CONSTRAINT fk_cascade_step_reading_id_reading FOREIGN KEY(reading_id) REFERENCES reading (id)
);

CREATE TABLE second_opinion (
    id BIGSERIAL NOT NULL,
    step_id BIGINT NOT NULL,
    key VARCHAR(64) NOT NULL,
    code_value VARCHAR(16) NOT NULL,
    code_scheme VARCHAR(16) NOT NULL,
    code_meaning VARCHAR(64) NOT NULL,
    site JSON,
    score FLOAT NOT NULL,
    operating_point FLOAT NOT NULL,
    presence VARCHAR(16) NOT NULL,
    calibrated BOOLEAN NOT NULL,
    CONSTRAINT pk_second_opinion PRIMARY KEY (id),
    CONSTRAINT uq_second_opinion_step_id_key UNIQUE (step_id, key),
    CONSTRAINT fk_second_opinion_step_id_cascade_step FOREIGN KEY(step_id) REFERENCES cascade_step (id)
);

CREATE OR REPLACE VIEW v1_findings AS
SELECT x.id AS finding_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, r.read_at,
       coalesce(x.model_name, r.model_name) AS model_name, coalesce(x.model_version, r.model_version) AS model_version,
       coalesce(x.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.code_value, x.code_scheme, x.code_meaning, (x.site ->> 'meaning') AS site,
       x.laterality, x.score, x.operating_point, x.presence, x.calibrated
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN finding x
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE OR REPLACE VIEW v1_measurements AS
SELECT x.id AS measurement_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, r.read_at,
       coalesce(a.model_name, r.model_name) AS model_name, coalesce(a.model_version, r.model_version) AS model_version,
       coalesce(a.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.topic, x.code_value, x.code_scheme, x.code_meaning, (x.site ->> 'meaning') AS site,
       x.laterality, x.value, (x.unit ->> 'value') AS unit, x.provenance
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN measurement x
     LEFT JOIN cascade_step a ON a.reading_id = r.id AND a.gives_structures
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE OR REPLACE VIEW v1_shadow AS
SELECT h.id AS shadow_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title,
       f.received_at, h.read_at, m.name AS model_name, m.version AS model_version, m.weights_digest, h.not_analysed,
       y.key, y.score, y.operating_point, y.presence,
       coalesce(x.model_name, r.model_name) AS primary_model_name,
       coalesce(x.model_version, r.model_version) AS primary_model_version, r.not_analysed AS primary_not_analysed,
       x.score AS primary_score, x.operating_point AS primary_operating_point, x.presence AS primary_presence,
       (y.score >= y.operating_point) <> (x.score >= x.operating_point) AS differs
FROM shadow h
JOIN film f ON f.id = h.film_id
JOIN study s ON s.id = f.study_id
JOIN model m ON m.id = h.model_id
LEFT JOIN shadow_finding y ON y.shadow_id = h.id
LEFT JOIN reading r ON r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)
LEFT JOIN finding x ON x.reading_id = r.id AND x.key = y.key;

CREATE VIEW v1_cascade AS
SELECT x.id AS step_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, r.read_at,
       coalesce(x.model_name, r.model_name) AS model_name, coalesce(x.model_version, r.model_version) AS model_version,
       coalesce(x.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.ordinal, x.name, x.state, x.reason, x.detail, x.gives_structures
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN cascade_step x
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE VIEW v1_second_opinions AS
SELECT y.id AS opinion_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, r.read_at,
       coalesce(x.model_name, r.model_name) AS model_name, coalesce(x.model_version, r.model_version) AS model_version,
       coalesce(x.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       y.key, y.code_value, y.code_scheme, y.code_meaning, (y.site ->> 'meaning') AS site,
       y.score, y.operating_point, y.presence, y.calibrated,
       coalesce(z.model_name, r.model_name) AS answer_model_name,
       coalesce(z.model_version, r.model_version) AS answer_model_version, z.score AS answer_score,
       z.presence AS answer_presence
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN cascade_step x
     JOIN second_opinion y ON y.step_id = x.id
     LEFT JOIN finding z ON z.reading_id = r.id AND z.key = y.key
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);
