{# SQL that several views share. #}
{% macro newest_reading() %}(SELECT max(n.id) FROM reading n WHERE n.film_id = f.id){% endmacro %}
{# Condition that excludes films of constancy checks. #}
{% macro is_not_constancy_film(film_id) -%}
NOT EXISTS (SELECT 1 FROM constancy_film c WHERE c.film_id = {{ film_id }})
{%- endmacro %}
{# Columns of the group "equipment", of film f. A modality without a value is that of a film whose header has none. #}
{% macro equipment_columns() -%}
nullif(f.modality, '') AS modality, f.manufacturer, f.manufacturer_model_name, f.station_name
{%- endmacro %}
{# A column of the model of a row, which has its own model or that of reading r. #}
{% macro model_column(row, name) %}{% if row %}coalesce({{ row }}.{{ name }}, r.{{ name }}) AS {{ name }}{% else %}r.{{ name }}{% endif %}{% endmacro %}
{# Columns of the group "reading", of film f, study s and reading r; the model is that of `row`, if it is given. #}
{% macro reading_columns(row="") -%}
r.id AS reading_id, f.id AS film_id, f.study_id, s.study_instance_uid, f.sop_instance_uid,
       f.calling_ae_title, f.received_at, {{ day("f.received_at") }} AS received_day, r.read_at,
       {{ model_column(row, "model_name") }}, {{ model_column(row, "model_version") }},
       {{ model_column(row, "weights_digest") }}, r.id = {{ newest_reading() }} AS is_newest
{%- endmacro %}
{# FROM and WHERE for the rows x of a table that refers to readings. CROSS JOIN fixes SQLite's join order: otherwise it
   starts with the findings, the largest table, and sorts. #}
{% macro from_readings(table, join="") -%}
FROM study s JOIN film f ON f.study_id = s.id CROSS JOIN reading r CROSS JOIN {{ table }} x{% if join %}
     {{ join }}{% endif +%}
WHERE r.film_id = f.id AND x.reading_id = r.id AND {{ is_not_constancy_film("f.id") }}
{%- endmacro %}
{# Condition that a destination could not be reached when it was last tried. #}
{% macro is_unreachable(destination) -%}
EXISTS (SELECT 1 FROM destination_trouble t WHERE t.destination = {{ destination }} AND NOT EXISTS (
                         SELECT 1 FROM delivery l WHERE l.destination = t.destination AND l.delivered_at > t.failed_at))
{%- endmacro %}
