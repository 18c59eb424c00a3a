"""TLS versions and cipher suites of both ends: BCP 195 TLS Profile (PS3.15 annex B), after RFC 9325."""

import ssl

from cxr_node.domain.errors import cause_of

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2: ephemeral keys and authenticated encryption only (RFC 9325 section 4.2). TLS 1.3 has no others."""


def restrict(context: ssl.SSLContext) -> ssl.SSLContext:
    """Restrict to TLS 1.2 and 1.3 with forward secrecy, without compression and renegotiation; return `context`."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    return context


def failure_reason(error: OSError) -> str:
    """Return why TLS failed, without file names and certificate contents."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "protocol error").lower().replace("_", " ")
    return cause_of(error)
