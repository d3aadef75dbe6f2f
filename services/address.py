"""Check of the listening address before BentoML starts, which reports a refusal as a traceback."""

import errno
import socket

from limelight.foundation.errors import UserError

_BIND_ERRORS = {
    errno.EADDRINUSE: "port {port} of {address} is in use; choose another with --port, or stop what listens there",
    errno.EACCES: "port {port} of {address} needs more rights than this user has; choose one from 1024 on with --port",
    errno.EADDRNOTAVAIL: "{address} is not an address of this machine; give another with --host, or 0.0.0.0 for all",
}


def bindable(host: str, port: int) -> str:
    """Resolve a host to an IP address, and prove that the service can listen there.

    Args:
        host: an IP address, or a name that resolves to one; of several addresses, IPv4 goes first.
        port: 1 to 65535.

    Raises:
        UserError: the host cannot be resolved, is no address of this machine, or its port is taken or forbidden.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # a malformed name, such as a..b, raises ValueError
        raise UserError(
            f"host {host!r} cannot be resolved; give an address of this machine, such as 127.0.0.1"
        ) from error
    family, _, _, _, address = min(addresses, key=lambda each: each[0] != socket.AF_INET)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As BentoML does: lingering connections of a stopped server do not block its port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        reason = _BIND_ERRORS.get(error.errno or 0, "cannot listen at port {port} of {address} ({error})")
        raise UserError(reason.format(port=port, address=address[0], error=error.strerror)) from error
    return str(address[0])
