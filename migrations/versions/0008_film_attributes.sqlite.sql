CREATE TABLE film_identifiers (
    film_id INTEGER NOT NULL,
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

CREATE VIEW v1_films AS
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.series_instance_uid, f.sop_instance_uid, f.sop_class_uid,
       f.transfer_syntax_uid, f.calling_ae_title, f.called_ae_title, f.address, f.received_at,
       strftime('%Y-%m-%d', f.received_at) AS received_day, CAST(strftime('%H', f.received_at) AS INTEGER) AS received_hour, f.size_bytes,
       f.is_original, f.removed_at, j.id AS job_id, j.state, j.reason, j.detail, r.id AS reading_id, r.read_at,
       json_extract(r.geometry, '$.view') AS view, json_extract(r.geometry, '$.rows') AS film_rows,
       json_extract(r.geometry, '$.columns') AS film_columns, r.model_name, r.model_version, r.weights_digest,
       nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
FROM film f
JOIN study s ON s.id = f.study_id
LEFT JOIN job j ON j.film_id = f.id AND j.stage = 'read'
LEFT JOIN reading r ON r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE VIEW v1_findings AS
SELECT x.id AS finding_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, strftime('%Y-%m-%d', f.received_at) AS received_day, r.read_at,
       coalesce(x.model_name, r.model_name) AS model_name, coalesce(x.model_version, r.model_version) AS model_version,
       coalesce(x.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.code_value, x.code_scheme, x.code_meaning, json_extract(x.site, '$.meaning') AS site,
       x.laterality, x.score, x.operating_point, x.presence, x.calibrated,
       nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN finding x
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE VIEW v1_measurements AS
SELECT x.id AS measurement_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, strftime('%Y-%m-%d', f.received_at) AS received_day, r.read_at,
       coalesce(a.model_name, r.model_name) AS model_name, coalesce(a.model_version, r.model_version) AS model_version,
       coalesce(a.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.topic, x.code_value, x.code_scheme, x.code_meaning, json_extract(x.site, '$.meaning') AS site,
       x.laterality, x.value, json_extract(x.unit, '$.value') AS unit, x.provenance,
       nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN measurement x
     LEFT JOIN cascade_step a ON a.reading_id = r.id AND a.gives_structures
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);

CREATE VIEW v1_turnaround AS
SELECT t.film_id, t.study_id, t.study_instance_uid, t.sop_instance_uid, t.calling_ae_title, t.received_at,
       t.received_day, t.claimed_at, t.read_at, t.composed_at, t.delivered_at, t.state, t.reason,
       round((julianday(t.claimed_at) - julianday(t.received_at)) * 86400.0, 3) AS wait_s, round((julianday(t.read_at) - julianday(t.claimed_at)) * 86400.0, 3) AS read_s,
       round((julianday(t.composed_at) - julianday(t.read_at)) * 86400.0, 3) AS compose_s, round((julianday(t.delivered_at) - julianday(t.composed_at)) * 86400.0, 3) AS deliver_s,
       round((julianday(t.delivered_at) - julianday(t.received_at)) * 86400.0, 3) AS total_s,
       t.modality, t.manufacturer, t.manufacturer_model_name, t.station_name
FROM (
    SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
           strftime('%Y-%m-%d', f.received_at) AS received_day,
           (SELECT min(e.at) FROM job_event e WHERE e.job_id = j.id AND e.event = 'claimed') AS claimed_at,
           j.ended_at AS read_at,
           (SELECT min(u.composed_at) FROM result u WHERE u.study_id = f.study_id AND u.composed_at >= j.ended_at) AS composed_at,
           (SELECT min(d.delivered_at) FROM result u JOIN delivery d ON d.result_id = u.id
            WHERE u.study_id = f.study_id AND u.composed_at >= j.ended_at) AS delivered_at,
           j.state, j.reason, nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
    FROM film f
    JOIN study s ON s.id = f.study_id
    LEFT JOIN job j ON j.film_id = f.id
) t
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = t.film_id);

CREATE VIEW v1_film_identifiers AS
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
       i.accession_number, i.patient_id, i.issuer_of_patient_id, i.patient_name, i.study_date, i.study_description
FROM film_identifiers i
JOIN film f ON f.id = i.film_id
JOIN study s ON s.id = f.study_id
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);
