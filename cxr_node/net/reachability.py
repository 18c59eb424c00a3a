"""Why a peer cannot be reached, where the library that requests an association does not say."""

import socket

from cxr_node.domain.errors import cause_of


def why_unreachable(host: str, port: int, *, timeout_s: float) -> str:
    """Return why there is no association with an address: tries to connect, and closes the connection at once."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except socket.gaierror:
        return f"the host {host} is not known"
    except ConnectionRefusedError:
        return "the connection is refused: no program listens there"
    except TimeoutError:
        return f"no response to the connection request within {timeout_s:g} s"
    except OSError as error:
        return cause_of(error).lower()
    return "it accepts connections, but aborted, closed or did not answer the association request"
