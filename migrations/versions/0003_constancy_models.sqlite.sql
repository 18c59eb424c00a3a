CREATE VIEW v1_constancy AS
SELECT r.id AS run_id, r.started_at, r.ended_at, r.state, r.detail, m.name AS model_name, m.version AS model_version,
       m.weights_digest, r.engine, v.seed, v.kind, v.key, v.value, v.expected, v.tolerance,
       abs(v.value - v.expected) <= v.tolerance AS is_within_tolerance
FROM constancy_run r
LEFT JOIN constancy_value v ON v.run_id = r.id
LEFT JOIN model m ON m.id = coalesce(v.model_id, r.model_id);
