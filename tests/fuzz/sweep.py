# SPDX-License-Identifier: Apache-2.0
"""Read many damaged files in child processes: ``python tests/fuzz/sweep.py [--count N] [READER ...]``.

Every mutant has to be read, or refused by an error that names the file, within two seconds (of the processor, as others
may want it too) and within 1 GiB above what the process had before the first: the child may not even reserve more. A
child that crashes or hangs is started again behind the mutant that it failed on. ``--only NUMBER`` reads a single
mutant of each reader and shows its traceback.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

LIMIT_SECONDS, LIMIT_BYTES = 2.0, 2**30
GIVE_UP_SECONDS, GIVE_UP_WAITING = 20, 300


def main() -> int:
    """Run every reader; 1 if any mutant was read badly."""
    from readers import READERS

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"default: all of {', '.join(READERS)}")
    parser.add_argument("--count", type=int, default=10_000, metavar="N", help="mutants of each reader")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="show this mutant")
    parser.add_argument("--child", type=int, metavar="FIRST", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.readers or list(READERS)
    if arguments.child is not None:
        return child(names[0], arguments.child, arguments.count)
    if arguments.only is not None:
        return show(names, arguments.only)
    return max(sweep(name, arguments.count) for name in names)


def sweep(name: str, count: int) -> int:
    """Read the mutants of a reader and print what came of it."""
    results, failures = Counter[str](), list[str]()
    longest, memory, first, started = 0.0, 0, 0, time.monotonic()
    while first < count:
        for line in run_child(name, first, count):
            first = line["number"] + 1
            longest, memory = max(longest, line["seconds"]), max(memory, line["bytes"])
            is_fine = line["result"] in ("good", "refused") and line["seconds"] <= LIMIT_SECONDS
            results[line["result"] if is_fine else "FAILED"] += 1
            if not is_fine:
                failures.append(f"{line['number']} ({line['seconds']:.1f} s): {line['result']}")
    total = f"{count} mutants, {results['refused']} refused, {results['good']} read, {results['FAILED']} failed"
    cost = f"longest {longest:.2f} s, memory +{memory / 2**20:.0f} MiB, all {time.monotonic() - started:.0f} s"
    sys.stdout.write("".join([f"{name}: {total}; {cost}\n", *(f"  {failure}\n" for failure in failures[:20])]))
    sys.stdout.flush()
    return int(bool(failures) or memory > LIMIT_BYTES)


def run_child(name: str, first: int, count: int):
    """Lines of a child process; one about its end if it does not come to the last mutant."""
    command = [sys.executable, __file__, name, "--count", str(count), "--child", str(first)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    with (
        tempfile.TemporaryFile("w+") as errors,  # no pipe, which would fill and stop the child: libtiff says much
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        number = first - 1
        for text in process.stdout:
            line = json.loads(text)
            number = line["number"]
            yield line
        code = process.wait()
        errors.seek(0)
        said = errors.read().strip()[-300:]
    if number < count - 1:
        reason = f"the process ended with {code}: {said}"
        yield {"number": number + 1, "seconds": 0.0, "bytes": 0, "result": reason}


def child(name: str, first: int, count: int) -> int:
    """Read mutants and write a line about each; one that hangs for ``GIVE_UP_SECONDS`` ends the process."""
    import signal

    from readers import open_target

    with tempfile.TemporaryDirectory() as folder:
        target = open_target(name, Path(folder))
        for _ in range(2):  # what is imported and kept at the first time counts as start-up
            for file in target.files:
                result = target.read(file)
                if result != "good":
                    raise RuntimeError(f"{file} is no good seed: {result}")
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        reserved = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (reserved + LIMIT_BYTES,) * 2)
        out = os.fdopen(os.dup(1), "w")
        for number in range(first, count):
            signal.setitimer(signal.ITIMER_PROF, GIVE_UP_SECONDS)  # without a handler: also a loop in C is ended
            signal.alarm(GIVE_UP_WAITING)
            begun = time.process_time()
            with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
                result = target.run(number)
            seconds = time.process_time() - begun
            more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base
            line = {"number": number, "seconds": seconds, "bytes": more, "result": result}
            out.write(f"{json.dumps(line)}\n")
            out.flush()
    return 0


def show(names: list[str], number: int) -> int:
    """Read one mutant, with its traceback."""
    from readers import open_target

    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            target = open_target(name, Path(folder))
            file, content = target.mutant(number)
            file.write_bytes(content)
            sys.stdout.write(f"{name} {number}: {file}, {len(content)} bytes: {content[:2000]!r}\n")
            target.reader.read(target.folder, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
