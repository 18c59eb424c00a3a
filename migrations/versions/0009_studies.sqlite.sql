CREATE INDEX ix_study_first_received_at ON study (first_received_at);

CREATE VIEW v1_studies AS
SELECT s.id AS study_id, s.study_instance_uid,
       (SELECT f.calling_ae_title FROM film f WHERE f.study_id = s.id ORDER BY f.id LIMIT 1) AS calling_ae_title,
       s.first_received_at,
       (SELECT max(f.received_at) FROM film f WHERE f.study_id = s.id) AS last_received_at,
       strftime('%Y-%m-%d', s.first_received_at) AS received_day,
       (SELECT count(*) FROM film f WHERE f.study_id = s.id) AS films, s.priority,
       CASE WHEN EXISTS (SELECT 1 FROM job j WHERE j.of_study_id = s.id AND j.stage = 'read'
                         AND j.state IN ('waiting', 'running')) THEN 'waiting'
            ELSE CASE (SELECT max(CASE WHEN x.presence = 'present' THEN 5 WHEN x.presence = 'undetermined' THEN 4
                     WHEN r.not_analysed IS NOT NULL THEN 0
                     WHEN EXISTS (SELECT 1 FROM measurement m WHERE m.reading_id = r.id AND m.key = 'CTR'
                                  AND m.value >= 0.5 AND json_extract(r.geometry, '$.view') = 'PA') THEN 3
                     WHEN x.id IS NOT NULL THEN 2 ELSE 1 END)
                       FROM film f JOIN reading r ON r.id = (SELECT max(n.id) FROM reading n WHERE n.film_id = f.id)
                       LEFT JOIN finding x ON x.reading_id = r.id WHERE f.study_id = s.id)
                 WHEN 5 THEN 'abnormal' WHEN 4 THEN 'undetermined' WHEN 3 THEN 'ratio_above_normal' WHEN 2 THEN 'normal'
                 WHEN 1 THEN 'no_targets' ELSE 'not_analysed' END
       END AS result_state,
       CASE (SELECT max(CASE WHEN j.state = 'failed' AND (j.stage <> 'compose' OR j.id = (SELECT max(c.id) FROM job c
                                            WHERE c.study_id = s.id AND c.stage = 'compose')) THEN 5
                     WHEN j.state IN ('waiting', 'running') AND EXISTS (SELECT 1 FROM destination_trouble t WHERE t.destination = d.destination AND NOT EXISTS (
                         SELECT 1 FROM delivery l WHERE l.destination = t.destination AND l.delivered_at > t.failed_at)) THEN 4
                     WHEN j.state IN ('waiting', 'running') THEN 3
                     WHEN j.stage = 'deliver' AND j.state = 'dismissed' THEN 2
                     WHEN j.stage = 'deliver' AND j.state = 'done' THEN 1 ELSE 0 END)
             FROM job j LEFT JOIN delivery d ON d.id = j.delivery_id WHERE j.of_study_id = s.id)
       WHEN 5 THEN 'failed' WHEN 4 THEN 'unreachable' WHEN 3 THEN 'waiting' WHEN 2 THEN 'dismissed'
       WHEN 1 THEN 'delivered' ELSE 'not_routed' END AS delivery_state
FROM study s
WHERE NOT EXISTS (SELECT 1 FROM film f JOIN constancy_film c ON c.film_id = f.id WHERE f.study_id = s.id);
