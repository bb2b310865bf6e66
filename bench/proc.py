"""
Figures of a process from proc(5): CPU, memory, bytes written.
"""

import os
import statistics
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """
    Return the CPU time of *pid* without its children, in seconds.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def exact_cpu(pid):
    """
    Return the CPU time of the threads of *pid*, in seconds, by the scheduler's clock.
    """
    threads = os.listdir(f"/proc/{pid}/task")
    return sum(int(Path(f"/proc/{pid}/task/{each}/schedstat").read_text().split()[0]) for each in threads) / 1e9


def cpu_with_children(pid):
    """
    Return the CPU time of *pid* and of the children that it has waited for, in seconds.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICK


def memory(pid):
    """
    Return the resident memory in MiB: now, and the peak since `forget_peak`.
    """
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("VmRSS", "VmHWM")):
            name, value = line.split(":")
            found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["VmHWM"]


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def written(pid):
    """
    Return the bytes that *pid* caused to be written to the disk.
    """
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes"):
            return int(line.split(":")[1])
    raise ValueError("the kernel does not count")


def read(pid):
    """
    Return the bytes that *pid* read from files; data from the network does not count.
    """
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("rchar"):
            return int(line.split(":")[1])
    raise ValueError("the kernel does not count")


def catches(pid, signal):
    """
    Return whether *pid* has a handler for *signal*.
    """
    (caught,) = (line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line)
    return bool(int(caught, 16) >> (signal - 1) & 1)


def processes_with(*words):
    """
    Return the pids whose command line has all of *words*.
    """
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if all(word.encode() in line for word in words):
                found.append(int(entry))
    return found


def median(values):
    return statistics.median(values)
