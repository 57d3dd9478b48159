"""What the figures share: the built programs, the machine in words, runs of the load generator."""

import argparse
import json
import pathlib
import subprocess
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def parser(description):
    """Options that every figure has."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--build", type=pathlib.Path, default=REPOSITORY / "build/release", help="build tree to measure")
    options.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    return options


def reprise(build):
    return _built(build / "server/reprise")


def _built(program):
    if not program.exists():
        raise SystemExit(f"{program} is not there: run scripts/build release, or name another tree with --build")
    return program


def load(build, *flags):
    """One run of reprise_load, as the object that its --json writes."""
    program = _built(build / "loadtest/generator/reprise_load")
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [program, "--json", report.name, *flags]
        status = subprocess.run([str(word) for word in command], check=False, stdout=subprocess.DEVNULL).returncode
        # 4: calls failed, which the report counts; 5: the generator was late.
        if status == 5:
            print("  the load generator was late for more than 1 % of its calls; is the machine busy?", flush=True)
        elif status not in (0, 4):
            raise SystemExit(f"reprise_load ended with status {status}")
        return json.loads(pathlib.Path(report.name).read_text())


def random_checkpoint(build, config, directory, plan):
    """Writes a checkpoint of random weights with a reuse plan, as reprise bench makes it."""
    def run(*words):
        subprocess.run([str(word) for word in (reprise(build), *words)], check=True, stdout=subprocess.DEVNULL)

    with tempfile.TemporaryDirectory() as folder:
        exact = pathlib.Path(folder) / "exact" if plan != "exact" else directory
        run("bench", "--config", config, "--random-weights", "--plan", "exact", "--seq-len", 8, "--repetitions", 1,
            "--save-weights", exact)
        if plan != "exact":
            heads, layers = plan.split("x")
            run("convert", exact, "--heads", heads, "--layers", layers, "--output", directory)


def machine():
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="ascii") if line.startswith("model name")]
    return f"{len(names)} cores, {names[0] if names else 'unknown'}"


def report(figures, path):
    """Prints the figures, one per line, and writes them if there is a path."""
    for name, value in figures.items():
        print(f"{name:<40} {value:.4g}" if isinstance(value, float) else f"{name:<40} {value}")
    if path:
        path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")
