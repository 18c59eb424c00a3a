{# SQLite: expressions that the databases spell differently. #}
{# UTC day of a time as text, such as 2026-01-31. #}
{% macro day(time) %}strftime('%Y-%m-%d', {{ time }}){% endmacro %}
{# UTC hour of a time, 0 to 23. #}
{% macro hour(time) %}CAST(strftime('%H', {{ time }}) AS INTEGER){% endmacro %}
{# Time at which a day begins, from the day as text. #}
{% macro start_of_day(day) %}{{ day }} || ' 00:00:00.000000'{% endmacro %}
{# Seconds from one time to another, to the millisecond. #}
{% macro seconds_between(start, end) %}round((julianday({{ end }}) - julianday({{ start }})) * 86400.0, 3){% endmacro %}
{# A time less a whole number of seconds. #}
{% macro minus_seconds(time, seconds) -%}
strftime('%Y-%m-%d %H:%M:%f000', {{ time }}, '-' || {{ seconds }} || ' seconds')
{%- endmacro %}
{# Member of a JSON object as text. #}
{% macro json_text(column, key) %}json_extract({{ column }}, '$.{{ key }}'){% endmacro %}
{# Member of a JSON object as an integer. #}
{% macro json_integer(column, key) %}json_extract({{ column }}, '$.{{ key }}'){% endmacro %}
{# An expression as text without a length limit. #}
{% macro varchar(expression) %}{{ expression }}{% endmacro %}
