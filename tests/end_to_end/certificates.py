"""Certificates for the tests, made by the very commands that docs/security.md tells users to run."""

import pathlib
import re
import subprocess

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "security.md"


def commands_of_the_page(name):
    """The shell commands that docs/security.md marks with <!-- test: name -->."""
    blocks = re.findall(rf"<!-- test: {name} -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 1, f"{PAGE} has {len(blocks)} blocks marked '{name}'"
    return blocks[0]


def run_in(folder, commands):
    done = subprocess.run(
        ["sh", "-euc", commands], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"{commands}\n{done.stderr}"


def make_certificates(folder):
    """ca, server and client as the page makes them; other-ca, and a client and server certificate each that it signed
    or that have expired. Files are NAME.crt and NAME.key."""
    folder.mkdir(parents=True, exist_ok=True)
    run_in(folder, commands_of_the_page("certificates"))
    run_in(folder, commands_of_the_page("client"))
    for name in ("server", "client"):
        expire = commands_of_the_page("certificates" if name == "server" else "client").splitlines()[-1]
        run_in(folder, expire.replace("-days 90", "-days -1").replace(f"{name}.crt", f"{name}-expired.crt"))
    other = folder / "other"
    other.mkdir()
    run_in(other, commands_of_the_page("certificates").replace("/CN=my CA", "/CN=other CA"))
    run_in(other, commands_of_the_page("client"))
    return folder


def subject_and_serial(certificate_pem):
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-serial"],
        input=certificate_pem, capture_output=True, text=True, check=True,
    )
    return done.stdout
