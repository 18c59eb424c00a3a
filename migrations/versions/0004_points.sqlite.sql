CREATE TABLE point (
    id INTEGER NOT NULL,
    reading_id INTEGER NOT NULL,
    "key" VARCHAR(64) NOT NULL,
    code_value VARCHAR(16) NOT NULL,
    code_scheme VARCHAR(16) NOT NULL,
    code_meaning VARCHAR(64) NOT NULL,
    laterality VARCHAR(16),
    column_px FLOAT NOT NULL,
    row_px FLOAT NOT NULL,
    confidence FLOAT NOT NULL,
    least_confidence FLOAT NOT NULL,
    is_visible BOOLEAN NOT NULL,
    model_name VARCHAR(64),
    model_version VARCHAR(64),
    model_manufacturer VARCHAR(64),
    weights_digest VARCHAR(64),
    preparation TEXT,
    operating_points TEXT,
    CONSTRAINT pk_point PRIMARY KEY (id),
    CONSTRAINT uq_point_reading_id_key UNIQUE (reading_id, "key"),
    CONSTRAINT fk_point_reading_id_reading FOREIGN KEY(reading_id) REFERENCES reading (id)
);

CREATE TABLE embedding (
    id INTEGER NOT NULL,
    reading_id INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    vector BLOB NOT NULL,
    model_name VARCHAR(64),
    model_version VARCHAR(64),
    model_manufacturer VARCHAR(64),
    weights_digest VARCHAR(64),
    preparation TEXT,
    operating_points TEXT,
    CONSTRAINT pk_embedding PRIMARY KEY (id),
    CONSTRAINT uq_embedding_reading_id_ordinal UNIQUE (reading_id, ordinal),
    CONSTRAINT fk_embedding_reading_id_reading FOREIGN KEY(reading_id) REFERENCES reading (id)
);

CREATE VIEW v1_points AS
SELECT x.id AS point_id, r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, strftime('%Y-%m-%d', f.received_at) AS received_day, r.read_at,
       coalesce(x.model_name, r.model_name) AS model_name, coalesce(x.model_version, r.model_version) AS model_version,
       coalesce(x.weights_digest, r.weights_digest) AS weights_digest, r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id) AS is_newest,
       x.key, x.code_value, x.code_scheme, x.code_meaning, x.laterality, x.column_px, x.row_px, x.confidence,
       x.least_confidence, x.is_visible
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN point x
WHERE r.film_id = f.id AND x.reading_id = r.id AND NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);
