CREATE OR REPLACE VIEW v1_turnaround AS
SELECT f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid, f.calling_ae_title, f.received_at,
       to_char(f.received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS received_day, k.claimed_at, coalesce(j.first_ended_at, j.ended_at) AS read_at, o.composed_at,
       o.delivered_at, j.state, j.reason,
       CAST(round(extract(epoch FROM k.claimed_at - f.received_at), 3) AS double precision) AS wait_s, CAST(round(extract(epoch FROM coalesce(j.first_ended_at, j.ended_at) - k.claimed_at), 3) AS double precision) AS read_s,
       CAST(round(extract(epoch FROM o.composed_at - coalesce(j.first_ended_at, j.ended_at)), 3) AS double precision) AS compose_s, CAST(round(extract(epoch FROM o.delivered_at - o.composed_at), 3) AS double precision) AS deliver_s,
       CAST(round(extract(epoch FROM o.delivered_at - f.received_at), 3) AS double precision) AS total_s,
       nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
FROM film f
JOIN study s ON s.id = f.study_id
LEFT JOIN job j ON j.film_id = f.id
LEFT JOIN LATERAL (
    SELECT min(e.at) AS claimed_at FROM job_event e WHERE e.job_id = j.id AND e.event = 'claimed'
) k ON true
LEFT JOIN LATERAL (
    SELECT min(u.composed_at) AS composed_at, min(coalesce(d.first_delivered_at, d.delivered_at)) AS delivered_at
    FROM result u LEFT JOIN delivery d ON d.result_id = u.id
    WHERE u.study_id = f.study_id AND u.composed_at >= coalesce(j.first_ended_at, j.ended_at)
) o ON true
WHERE NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = f.id);
