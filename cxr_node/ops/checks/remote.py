"""Checks of the inference server: address, readiness, a black film, and the bundle of the fallback."""

from collections.abc import Iterator, Mapping

from cxr_node.infer.remote.outcome import RemoteError, RequestOutcome
from cxr_node.ops.checks.node import Check, note, ok, problem
from cxr_node.settings.root import Settings
from cxr_node.wiring.remote import fallback_folder, remote_reader

_NEXT_STEPS: Mapping[RequestOutcome, str] = {
    RequestOutcome.UNREACHABLE: "start the server, or correct remote.url",
    RequestOutcome.TLS_FAILED: "correct remote.tls_ca, or the server's certificate",
    RequestOutcome.NOT_SENT: "correct the files that [remote] names",
    RequestOutcome.TIMED_OUT: "see whether the server is overloaded, or raise remote.timeout_s",
    RequestOutcome.BUSY: "see whether the server is overloaded; the node tries again by itself",
    RequestOutcome.WRONG_MODEL: "deploy the version that the card names, or correct remote.model_version",
    RequestOutcome.TOO_LARGE: "raise remote.maximum_response_bytes if the outputs are that large",
    RequestOutcome.INVALID: "compare inputs and outputs of the model at the server with the card",
    RequestOutcome.NOT_FINITE: "see the model at the server: a black film gives values that are not finite",
    RequestOutcome.TRUNCATED: "see the log of the server, and of proxies before it",
    RequestOutcome.HTTP_STATUS: "see the log of the server; 401 and 403: remote.token_file, 404: model and version",
}


def inference_server(settings: Settings) -> Iterator[Check]:
    """Check the server of [remote], if films are read there; a black film is sent."""
    # Imports torch, which takes seconds.
    from cxr_node.infer import bundle, bundle_registry

    if settings.read.kind != "remote":
        return
    section = settings.remote
    try:
        folder = bundle_registry.find(str(settings.read.bundle), settings.node.bundles_folder)
        reader = remote_reader(settings, bundle.read_card(folder))
        if section.fallback == "local":
            card = bundle.check(fallback_folder(settings, folder))
            yield ok("fallback", f"{card.name} {card.version} reads while the inference server does not")
    except bundle.BundleError as error:
        yield problem("inference server", str(error), "correct [remote]")
        return
    try:
        reader.check()
    except RemoteError as error:
        yield problem("inference server", str(error), _NEXT_STEPS[error.outcome])
    else:
        yield ok("inference server", f"{reader.remote_model} at {section.url} is ready and reads a black film")
    if section.url.startswith("http://") and not section.is_loopback:
        next_step = "use https and remote.tls_ca unless the network between is trusted"
        yield note("inference server encryption", "films are sent to it unencrypted", next_step)
