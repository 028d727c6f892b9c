"""Freed blocks stay with the process where the C library is glibc; nothing happens anywhere else."""

import os
import subprocess
import sys

import pytest

from kws_dendrite.training import allocator

COUNT = """
import ctypes, resource, sys
from kws_dendrite.training.allocator import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "keep" else None
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def turn(count):
    for _ in range(count):
        blocks = [libc.malloc(16 << 20) for _ in range(4)]
        for block in blocks:
            ctypes.memset(block, 1, 16 << 20)
        for block in blocks:
            libc.free(block)
turn(2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
turn(16)
print(done, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(not allocator._is_glibc(), reason="another C library")


def count(what, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in allocator.SETTINGS}
    command = [sys.executable, "-c", COUNT, what]
    result = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, check=True)
    done, faults = result.stdout.split()
    return done, int(faults)


@glibc
def test_freed_blocks_come_back_without_a_page_fault():
    assert count("leave")[1] > 64  # each of 64 blocks is new to the process, however large its pages
    done, faults = count("keep")
    assert done == "True" and faults < 64


@glibc
@pytest.mark.parametrize("name", allocator.SETTINGS)
def test_the_environment_has_the_last_word(name):
    value = "glibc.malloc.arena_max=2" if name == "GLIBC_TUNABLES" else "1048576"
    assert count("keep", **{name: value})[0] == "False"


@pytest.fixture
def fresh(monkeypatch):
    for name in allocator.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    allocator.keep_freed_memory.cache_clear()
    yield
    allocator.keep_freed_memory.cache_clear()


@pytest.mark.parametrize("answer", [None, "musl 1.2", ValueError, OSError, AttributeError])
def test_another_c_library_is_left_alone(fresh, monkeypatch, answer):
    def confstr(name):
        if isinstance(answer, type):
            raise answer
        return answer

    monkeypatch.setattr(allocator.os, "confstr", confstr)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: pytest.fail("it was opened"))
    assert not allocator.keep_freed_memory()


def test_a_library_without_the_call_is_left_alone(fresh, monkeypatch):
    monkeypatch.setattr(allocator, "_is_glibc", lambda: True)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert not allocator.keep_freed_memory()


def test_a_refused_threshold_is_said(fresh, monkeypatch):
    asked = []

    class Library:
        @staticmethod
        def mallopt(name, value):
            asked.append(name)
            return 0

    monkeypatch.setattr(allocator, "_is_glibc", lambda: True)
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: Library)
    assert not allocator.keep_freed_memory()
    assert asked == [allocator.M_MMAP_THRESHOLD]
