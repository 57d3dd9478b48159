"""What docs/tuning.md prints is what the program prints. Run as a program with the path of `reprise`, it writes the page again."""

import pathlib
import re
import shlex
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "tuning.md"
BLOCK = re.compile(r"^```console\n\$ reprise (.*)\n(?:.*\n)*?```$", re.MULTILINE)


def with_outputs(page, binary):
    def run(block):
        command = [str(binary), *shlex.split(block[1])]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
        return f"```console\n$ reprise {block[1]}\n{printed}```"

    return BLOCK.sub(run, page)


def test_the_commands_of_the_tuning_page_print_what_it_shows(binary):
    page = PAGE.read_text()
    assert len(BLOCK.findall(page)) >= 5
    assert with_outputs(page, binary) == page


if __name__ == "__main__":
    PAGE.write_text(with_outputs(PAGE.read_text(), sys.argv[1]))
