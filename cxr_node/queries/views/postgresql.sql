{# PostgreSQL: expressions that the databases spell differently; sqlite.sql says what each is. #}
{% macro day(time) %}to_char({{ time }} AT TIME ZONE 'UTC', 'YYYY-MM-DD'){% endmacro %}
{% macro hour(time) %}CAST(extract(hour FROM {{ time }} AT TIME ZONE 'UTC') AS integer){% endmacro %}
{% macro start_of_day(day) %}CAST({{ day }} AS timestamp) AT TIME ZONE 'UTC'{% endmacro %}
{% macro seconds_between(start, end) -%}
CAST(round(extract(epoch FROM {{ end }} - {{ start }}), 3) AS double precision)
{%- endmacro %}
{% macro minus_seconds(time, seconds) %}{{ time }} - {{ seconds }} * interval '1 second'{% endmacro %}
{% macro json_text(column, key) %}({{ column }} ->> '{{ key }}'){% endmacro %}
{% macro json_integer(column, key) %}CAST({{ column }} ->> '{{ key }}' AS integer){% endmacro %}
{% macro varchar(expression) %}CAST({{ expression }} AS varchar){% endmacro %}
