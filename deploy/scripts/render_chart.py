"""Renders the Helm chart by Helm's own library; prints the resources as YAML.

    .venv-tools/bin/python deploy/scripts/render_chart.py deploy/helm/cxr-node '{"readers": {"enabled": false}}'

Run by the Python of `make tools`, which has helm-python-sdk. Ends with status 1 and Helm's message for a chart or
values that are wrong.
"""

import json
import sys

import helm_python


def main(folder: str, values: str = "{}") -> None:
    """Lint and render a chart with values in JSON, and print its resources."""
    parsed = json.loads(values)
    try:
        report = helm_python.lint(folder, parsed, strict=True)
        problems = [message for message in report.get("messages", []) if message.get("severity", 0) > 1]
        if problems:
            sys.exit(json.dumps(problems))
        resources = helm_python.Chart.load(folder).render(parsed, name="release", namespace="cxr", is_install=True)
    except helm_python.HelmError as error:
        sys.exit(str(error))
    for name, text in sorted(resources.items()):
        if name.endswith((".yaml", ".yml")):
            print(f"---\n# {name}\n{text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
