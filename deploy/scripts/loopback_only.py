"""Runs a command where the loopback interface is the only one; to be started by `unshare --net`.

    unshare --net python3 deploy/scripts/loopback_only.py COMMAND ARGUMENTS

Ends with status 1, and does not run the command, if there is a route to other hosts.
"""

import fcntl
import os
import socket
import struct
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1
_REQUEST = "16sh14x"


def main() -> None:
    """Bring up the loopback interface, and become the command."""
    if _has_route():
        sys.exit("there is a network: run this by `unshare --net`")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _, flags = struct.unpack(_REQUEST, fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack(_REQUEST, b"lo", 0)))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack(_REQUEST, b"lo", flags | IFF_UP))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606


def _has_route() -> bool:
    """Whether datagrams to another host would be sent; none is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documents
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()
