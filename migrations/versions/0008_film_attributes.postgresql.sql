CREATE TABLE film_identifiers (
    film_id BIGINT NOT NULL,
    accession_number VARCHAR(64),
    patient_id VARCHAR(64),
    issuer_of_patient_id VARCHAR(64),
    patient_name VARCHAR(200),
    study_date VARCHAR(10),
    study_description VARCHAR(64),
    CONSTRAINT pk_film_identifiers PRIMARY KEY (film_id),
    CONSTRAINT fk_film_identifiers_film_id_film FOREIGN KEY(film_id) REFERENCES film (id)
);

CREATE INDEX ix_film_identifiers_accession_number ON film_identifiers (accession_number, film_id) WHERE accession_number IS NOT NULL;

CREATE INDEX ix_film_identifiers_patient_id ON film_identifiers (patient_id, film_id) WHERE patient_id IS NOT NULL;

CREATE INDEX ix_film_identifiers_patient_name ON film_identifiers (film_id) WHERE patient_name IS NOT NULL;

CREATE INDEX ix_film_series_instance_uid ON film (series_instance_uid);

CREATE INDEX ix_film_unread ON film (id) WHERE modality IS NULL AND removed_at IS NULL;

CREATE INDEX ix_result_series_instance_uid ON result (series_instance_uid);

CREATE OR REPLACE VIEW v1_films AS
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.series_instance_uid, f.sop_instance_uid, f.sop_class_uid,
       f.transfer_syntax_uid, f.calling_ae_title, f.called_ae_title, f.address, f.received_at,
       to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, CAST(extract(hour FROM f.received_at AT TIME ZONE 'UTC') AS integer) AS received_hour, f.size_bytes,
       f.is_original, f.removed_at, j.id AS job_id, j.state, j.reason, j.detail, r.id AS reading_id, r.read_at,
       (r.geometry ->> 'view') AS view, CAST(r.geometry ->> 'rows' AS integer) AS film_rows,
       CAST(r.geometry ->> 'columns' AS integer) AS film_columns, r.model_name, r.model_version, r.weights_digest,
       nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
FROM film f
JOIN study s ON s.id = f.study_id
LEFT JOIN job j ON j.film_id = f.id AND j.stage = 'read'
LEFT JOIN reading r ON r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE OR REPLACE VIEW v1_findings AS
SELECT x.id AS finding_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, r.read_at,
       coalesce(x.model_name, r.model_name) AS model_name, coalesce(x.model_version, r.model_version) AS model_version,
       coalesce(x.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.code_value, x.code_scheme, x.code_meaning, (x.site ->> 'meaning') AS site,
       x.laterality, x.score, x.operating_point, x.presence, x.calibrated,
       nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN finding x
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE OR REPLACE VIEW v1_measurements AS
SELECT x.id AS measurement_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, r.read_at,
       coalesce(a.model_name, r.model_name) AS model_name, coalesce(a.model_version, r.model_version) AS model_version,
       coalesce(a.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.topic, x.code_value, x.code_scheme, x.code_meaning, (x.site ->> 'meaning') AS site,
       x.laterality, x.value, (x.unit ->> 'value') AS unit, x.provenance,
       nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN measurement x
     LEFT JOIN cascade_step a ON a.reading_id = r.id AND a.gives_structures
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE OR REPLACE VIEW v1_turnaround AS
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
       to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, k.claimed_at, j.ended_at AS read_at, o.composed_at,
       o.delivered_at, j.state, j.reason,
       CAST(round(extract(epoch FROM k.claimed_at - f.received_at), 3) AS double precision) AS wait_s, CAST(round(extract(epoch FROM j.ended_at - k.claimed_at), 3) AS double precision) AS read_s,
       CAST(round(extract(epoch FROM o.composed_at - j.ended_at), 3) AS double precision) AS compose_s, CAST(round(extract(epoch FROM o.delivered_at - o.composed_at), 3) AS double precision) AS deliver_s,
       CAST(round(extract(epoch FROM o.delivered_at - f.received_at), 3) AS double precision) AS total_s,
       nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
FROM film f
JOIN study s ON s.id = f.study_id
LEFT JOIN job j ON j.film_id = f.id
LEFT JOIN LATERAL (
    SELECT min(e.at) AS claimed_at FROM job_event e WHERE e.job_id = j.id AND e.event = 'claimed'
) k ON true
LEFT JOIN LATERAL (
    SELECT min(u.composed_at) AS composed_at, min(d.delivered_at) AS delivered_at
    FROM result u LEFT JOIN delivery d ON d.result_id = u.id
    WHERE u.study_id = f.study_id AND u.composed_at >= j.ended_at
) o ON true
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE VIEW v1_film_identifiers AS
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
       i.accession_number, i.patient_id, i.issuer_of_patient_id, i.patient_name, i.study_date, i.study_description
FROM film_identifiers i
JOIN film f ON f.id = i.film_id
JOIN study s ON s.id = f.study_id
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);
