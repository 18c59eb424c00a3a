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
           coalesce(j.first_ended_at, j.ended_at) AS read_at,
           (SELECT min(u.composed_at) FROM result u WHERE u.study_id = f.study_id AND u.composed_at >= coalesce(j.first_ended_at, j.ended_at)) AS composed_at,
           (SELECT min(coalesce(d.first_delivered_at, d.delivered_at)) FROM result u JOIN delivery d ON d.result_id = u.id
            WHERE u.study_id = f.study_id AND u.composed_at >= coalesce(j.first_ended_at, j.ended_at)) AS delivered_at,
           j.state, j.reason, nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
    FROM film f
    JOIN study s ON s.id = f.study_id
    LEFT JOIN job j ON j.film_id = f.id
) t
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = t.film_id);
