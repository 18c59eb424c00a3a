"""Paths of every page of the web application, for tests that look at each of them."""

PAGES = {
    "operations": "/",
    "studies": "/studies",
    "films": "/films",
    "findings": "/findings",
    "deliveries": "/deliveries",
    "jobs": "/jobs",
    "refusals": "/refusals",
    "rejections": "/rejections",
    "devices": "/devices",
    "steps": "/steps",
    "exports": "/exports",
    "trends": "/trends",
    "monitoring": "/monitoring",
    "settings": "/settings",
    "users": "/users",
    "learn": "/learn",
    "study": "/studies/1",
    "film": "/films/1",
    "side-by-side": "/films/1?beside=2",
    "result": "/results/1",
    "step": "/steps/1",
    "search": "/search",
    "password": "/password",
    "tokens": "/tokens",
    "settings-edit": "/settings/edit",
    "settings-row": "/settings/edit/row?kind=cstore&index=0",
    "settings-undo": "/settings/edit/undo",
    "pause": "/actions/pause?name=reading",
    "retry": "/actions/retry?table=jobs&since=all",
    "retried": "/actions/retry/done?jobs=3&left=1",
    "resend": "/actions/resend?table=studies&chosen=1&number=1",
    "resent": "/actions/resend/done?results=3&destination=pacs",
    "reread": "/actions/reread?table=studies&chosen=1&number=1",
    "reread-done": "/actions/reread/done?films=3",
    "withdraw": "/actions/withdraw?study=1",
}
"""Pages of a login by name; those of the menu first. A study, two films, a result and a procedure step have to
be there."""

NO_PAGES = frozenset(
    {
        "/events",
        "/favicon.ico",
        "/films/{film_id}/frame",
        "/films/{film_id}/heat/{finding_id}.png",
        "/films/{film_id}/{kind}.png",
        "/health/live",
        "/health/ready",
        "/learn/film",
        "/login",
        "/metrics",
        "/parts/health",
        "/parts/operations",
        "/results/{result_id}/document.pdf",
        "/results/{result_id}/picture",
        "/results/{result_id}/segments.png",
    }
)
"""Routes of parts of pages, of files and for programs, and the login."""
