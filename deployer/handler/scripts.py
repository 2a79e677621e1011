"""The user's file as an object: loaded, called in a thread or awaited, and its errors told by the lines of its own files."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from deployer.handler.answer import Problem
from deployer.handler.counters import Counters
from deployer.handler.journal import say


class ScriptError(Exception):
    """A script cannot be loaded. The text is one line: file, line, function, error."""


class Message(dict[str, Any]):
    """A request's body as a mapping, with what else is known of the request."""

    path: str = ""
    id: str = ""
    headers: Any = None


class Script:
    """`role` is "predictor" or "transformer"; the file holds a class of that name, with a capital letter."""

    def __init__(self, role: str, folder: str, name: str, pool: ThreadPoolExecutor, counters: Counters) -> None:
        self.role, self.folder = role, folder
        self._file = os.path.join(folder, name)
        self._pool, self._counters = pool, counters
        self._object: Any = None

    def has(self, name: str) -> bool:
        return callable(getattr(self._object, name, None))

    async def load(self) -> None:
        """Raises ScriptError; the traceback has then been written."""
        loop = asyncio.get_running_loop()
        try:
            self._object = await loop.run_in_executor(self._pool, self._make)
            if self.has("load"):
                await self._called(self._object.load)
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever the user's code raises
            say("\n".join(self._traceback(error)))
            raise ScriptError(f"{self.role}: {self.where(error)}") from None

    async def call(self, name: str, *args: Any) -> Any:
        """Raises Problem: 4xx where the script raised an error with such a `status`, else 500."""
        began = asyncio.get_running_loop().time()
        try:
            return await self._called(getattr(self._object, name), *args)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  whatever the user's code raises
            raise self.problem(name, error, args) from None
        finally:
            self._counters.called(f"{self.role}.{name}", asyncio.get_running_loop().time() - began)

    def problem(self, name: str, error: Exception, args: tuple[Any, ...] = ()) -> Problem:
        """What the client is told of an error in the script: its words only where it chose them for the client."""
        status = getattr(error, "status", None)
        if isinstance(status, int) and 400 <= status < 500:
            return Problem(status, str(error) or "The request was refused.", code="refused_by_script")
        self._counters.failed(f"{self.role}.{name}")
        asked = next((arg.id for arg in reversed(args) if isinstance(arg, Message)), "")
        say(f"error in {self.role}.{name}, request {asked}: {self.where(error)}")
        say("\n".join(self._traceback(error)))
        return Problem(500, f"The {self.role} script of this model failed; the log says why.", code="script_error")

    async def items(self, produced: Any, args: tuple[Any, ...]) -> AsyncIterator[Any]:
        """Of a generator, async or not: what it yields, with its errors as those of `predict`."""
        try:
            if hasattr(produced, "__anext__"):
                async for item in produced:
                    yield item
                return
            loop, end = asyncio.get_running_loop(), object()
            while (item := await loop.run_in_executor(self._pool, next, produced, end)) is not end:
                yield item
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001  whatever the user's code raises
            raise self.problem("predict", error, args) from None

    async def _called(self, function: Callable[..., Any], *args: Any) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*args)
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            return function(*args)
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args))

    def _make(self) -> Any:
        if self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        found = importlib.util.spec_from_file_location(self.role, self._file)
        if found is None or found.loader is None:
            raise ImportError(f"{os.path.basename(self._file)} is not a Python file")
        module = importlib.util.module_from_spec(found)
        sys.modules[self.role] = module
        found.loader.exec_module(module)
        wanted = self.role.capitalize()
        made = getattr(module, wanted, None)
        if not isinstance(made, type):
            raise TypeError(f"{os.path.basename(self._file)} has no class {wanted}")
        return made()

    def where(self, error: BaseException) -> str:
        """ "chat.py, line 12, in load: ValueError: bad": the innermost line of the user's own files."""
        said = traceback.format_exception_only(type(error), error)[-1].strip().replace("\n", " ")
        frames = self._frames(error.__traceback__)
        if isinstance(error, SyntaxError) and error.filename:
            return f"{os.path.basename(error.filename)}, line {error.lineno}: {said}"
        if not frames:
            return said
        last = frames[-1]
        return f"{os.path.relpath(last.filename, self.folder)}, line {last.lineno}, in {last.name}: {said}"

    def _frames(self, trace: TracebackType | None) -> traceback.StackSummary:
        inside = os.path.join(os.path.realpath(self.folder), "")
        ours = (frame for frame in traceback.extract_tb(trace) if os.path.realpath(frame.filename).startswith(inside))
        return traceback.StackSummary.from_list(list(ours))

    def _traceback(self, error: BaseException) -> Iterator[str]:
        """Of the user's files only: how it came there through our code and libraries says nothing to them."""
        yield "Traceback (most recent call last), of your files:"
        for entry in self._frames(error.__traceback__).format():
            yield entry.rstrip("\n")
        yield "".join(traceback.format_exception_only(type(error), error)).rstrip("\n")
