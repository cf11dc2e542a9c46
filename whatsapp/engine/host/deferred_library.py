"""Imports the WhatsApp library's Python side without loading its compiled part.

The imports cost 0.3 s of processor and 25 MB, loading the compiled part 0.01 s. But the compiled part starts
Go's runtime with threads of its own, and a process with threads must not be forked. So the fork server
imports with this, and every host that is forked from it loads the compiled part itself. The Python side
starts one thread at import, which writes Go's logs: that too is for the hosts.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMPILED_PREFIX = "neonize-"


class DeferredError(RuntimeError):
    """The compiled part is not the one that was imported for."""


class Declaration:
    """What the Python side declares of one function: argtypes, restype and errcheck are set on it."""

    def __init__(self, version: str) -> None:
        self.__dict__["_version"] = version

    def __call__(self) -> bytes:
        """The Python side calls nothing at import but GetVersion."""
        version: str = self.__dict__["_version"]
        return version.encode()

    def applied_to(self, function: Any) -> Any:
        """The loaded function with what was declared."""
        for attribute in ("argtypes", "restype", "errcheck"):
            if attribute in vars(self):
                setattr(function, attribute, vars(self)[attribute])
        return function


class DeferredLibrary:
    """Stands in for the loaded shared object; after `load` its functions are the real ones."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._path = ""
        self._loaded: ctypes.CDLL | None = None
        self._threads: list[threading.Thread] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        function = Declaration(self._version) if self._loaded is None else getattr(self._loaded, name)
        self.__dict__[name] = function
        return function

    def load(self) -> None:
        """Load the compiled part and start what the import would have started, once.

        Raises DeferredError when it is of another version.
        """
        loaded = self._loaded = ctypes.CDLL(self._path)
        for name, declaration in list(vars(self).items()):
            if isinstance(declaration, Declaration):
                del self.__dict__[name]
                if hasattr(loaded, name):  # the Python side asks for functions that some versions lack
                    self.__dict__[name] = declaration.applied_to(getattr(loaded, name))
        version = self.GetVersion().decode()
        if version != self._version:
            raise DeferredError(f"the library's compiled part is {version} instead of {self._version}")
        for thread in self._threads:
            thread.start()

    def opened(self, path: str) -> DeferredLibrary:
        """Remember the file that `load` is to load."""
        self._path = path
        return self

    def add_thread(self, thread: threading.Thread) -> None:
        """Remember a thread that `load` is to start."""
        self._threads.append(thread)


@contextmanager
def deferred_loading(version: str) -> Iterator[DeferredLibrary]:
    """While it is open, the import of neonize gets a DeferredLibrary instead of its shared object."""
    library, load, start = DeferredLibrary(version), ctypes.CDLL, threading.Thread.start

    def load_others(name: Any, *arguments: Any, **options: Any) -> Any:
        if name is not None and Path(str(name)).name.startswith(COMPILED_PREFIX):
            return library.opened(str(name))
        return load(name, *arguments, **options)

    def library_thread(thread: threading.Thread) -> None:
        library.add_thread(thread)

    ctypes.CDLL = load_others  # type: ignore[assignment, misc]
    threading.Thread.start = library_thread  # type: ignore[method-assign, assignment]
    try:
        yield library
    finally:
        ctypes.CDLL = load  # type: ignore[misc]
        threading.Thread.start = start  # type: ignore[method-assign]
