"""What a process listens on, from the kernel's own tables."""

import ipaddress
import os
import pathlib


def listening_sockets(process_id):
    """(address, port) of every TCP socket on which the process accepts connections."""
    sockets = set()
    for descriptor in pathlib.Path(f"/proc/{process_id}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            sockets.add(target[len("socket:["):-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{process_id}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:  # 0A: listening
                address, port = fields[1].split(":")
                found.add((_address(address), int(port, 16)))
    return found


def _address(text):
    # Each group of four bytes is written as a number of the machine's byte order.
    words = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return getattr(address, "ipv4_mapped", None) or address
