"""What a secure connection is, at either end: the BCP 195 TLS Profile (PS3.15 annex B), after RFC 9325."""

import ssl

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2: ephemeral keys and authenticated encryption only (RFC 9325 section 4.2). TLS 1.3 has no others."""


def restrict(context: ssl.SSLContext) -> ssl.SSLContext:
    """Allow TLS 1.2 and 1.3 alone, with forward secrecy, and without what has been attacked; return `context`."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    return context


def failure_reason(error: OSError) -> str:
    """Return why TLS failed in words that name no file and quote no certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "protocol error").lower().replace("_", " ")
    if isinstance(error, TimeoutError):
        return "timed out"
    return error.strerror or type(error).__name__
