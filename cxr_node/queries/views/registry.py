"""Registry of views by name, in the order of docs/database.md.

Migrations create the views from frozen copies of their SQL. New columns are added at the end; none is changed or
removed: a view with other columns is a `v2_` view beside it. Tests compare SQL, columns and document.
"""

from collections.abc import Mapping

from cxr_node.queries.views.constancy import CONSTANCY
from cxr_node.queries.views.daily_statistics import DAILY_STATISTICS
from cxr_node.queries.views.deliveries import DELIVERIES
from cxr_node.queries.views.drift import DRIFT
from cxr_node.queries.views.films import FILMS
from cxr_node.queries.views.findings import FINDINGS
from cxr_node.queries.views.jobs import JOBS
from cxr_node.queries.views.measurements import MEASUREMENTS
from cxr_node.queries.views.periodic_jobs import PERIODIC_JOBS
from cxr_node.queries.views.shadow import SHADOW
from cxr_node.queries.views.turnaround import TURNAROUND
from cxr_node.queries.views.view import View

VIEWS: Mapping[str, View] = {
    view.name: view
    for view in (
        FILMS,
        JOBS,
        FINDINGS,
        MEASUREMENTS,
        DELIVERIES,
        TURNAROUND,
        DAILY_STATISTICS,
        DRIFT,
        CONSTANCY,
        SHADOW,
        PERIODIC_JOBS,
    )
}
