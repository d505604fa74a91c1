"""Runs a command in a network with traps: traps.py COMMAND..., with {tcp} and {udp} for the ports of the traps.

The last line of standard output is JSON: what each trap caught until a second after the end of the command, and the
exit status of the command.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time

from own_network import STRANGER, STRANGER_IPV6, enter_own_network

#: How long the traps stay open after the command, for a process that outlives it.
AFTER_S = 1.0


def main() -> None:
    enter_own_network()
    caught: dict[str, int] = {}
    tcp_port = serve("tcp", socket.AF_INET, (STRANGER, 0), caught)
    udp_port = serve("udp", socket.AF_INET, (STRANGER, 0), caught)
    serve("tcp6", socket.AF_INET6, (STRANGER_IPV6, tcp_port), caught)
    serve("udp6", socket.AF_INET6, (STRANGER_IPV6, udp_port), caught)
    serve("abstract", socket.AF_UNIX, f"\0mockveo-trap-{tcp_port}", caught)
    command = [part.format(tcp=tcp_port, udp=udp_port) for part in sys.argv[1:]]
    done = subprocess.run(command, check=False)
    time.sleep(AFTER_S)
    sys.stdout.write(json.dumps({"caught": caught, "exit_status": done.returncode}) + "\n")


def serve(name: str, family: socket.AddressFamily, address: object, caught: dict[str, int]) -> int:
    """Set a trap; return its port."""
    is_udp = name.startswith("udp")
    trap = socket.socket(family, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
    trap.bind(address)
    if not is_udp:
        trap.listen()
    caught[name] = 0

    def catch() -> None:
        while True:
            if is_udp:
                trap.recvfrom(4096)
            else:
                trap.accept()[0].close()
            caught[name] += 1

    threading.Thread(target=catch, daemon=True).start()
    return 0 if family == socket.AF_UNIX else int(trap.getsockname()[1])


if __name__ == "__main__":
    main()
