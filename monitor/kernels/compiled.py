"""How a function is compiled, and the instructions on words of eight bytes that Python has no name for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.extending import intrinsic
from numba.types import Array, float64, int32, int64, uint8, uint64, void

Function = TypeVar("Function", bound=Callable[..., Any])

if numba.config.DISABLE_JIT:
    msg = (
        "NUMBA_DISABLE_JIT is set: kernels are instructions, and there is no other way to run them"
    )
    raise ImportError(msg)

#: What kernels take: bytes that they only read, and arrays that they may fill.
BYTES = Array(uint8, 1, "C", readonly=True)
ROOM = Array(uint8, 1, "C")
INTEGERS = Array(int64, 1, "C")
SHORT_INTEGERS = Array(int32, 1, "C")
PAIRS = Array(int64, 2, "C")
FLOATS = Array(float64, 1, "C")
ROWS = Array(float64, 2, "C")

#: What a scan of messages takes, as `monitor.kernels.json.scan` says.
SCAN = (
    BYTES, INTEGERS, INTEGERS, INTEGERS, BYTES, INTEGERS, INTEGERS, INTEGERS,
    INTEGERS, PAIRS, FLOATS, BYTES, ROWS, FLOATS, PAIRS, PAIRS,
)  # fmt: skip

#: To mypy what it makes is Any: it makes a call of what it decorates with one argument less.
_instruction: Any = intrinsic

_WORD = ir.IntType(64)
_HERE = Path(__file__).parent


def _edition() -> str:
    """Return a name for these sources: Numba itself looks only at a kernel's own file, not at what it calls."""
    said = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        said.update(path.read_bytes())
    return said.hexdigest()[:12]


def _place_to_keep() -> str | None:
    """Return a directory for what is compiled of these sources: the first that can be written, if any can."""
    edition = _edition()
    named = [Path(numba.config.CACHE_DIR)] if numba.config.CACHE_DIR else []
    for place in (*named, _HERE / "__pycache__", Path("~/.cache/model-monitor")):
        try:
            folder = place.expanduser() / edition
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "written").touch()
        except (OSError, RuntimeError):  # RuntimeError: nobody's home
            continue
        return str(folder)
    return None


_KEPT = _place_to_keep()


def kernel(*takes: Any) -> Callable[[Function], Function]:
    """Compile a function that takes these types, and fills what it is given, when it is defined; other threads run while it does.

    What was compiled is kept where NUMBA_CACHE_DIR says; or in this room's ``__pycache__``; or, where that cannot be written,
    in the user's cache; else it is compiled at each start.
    """
    signature = void(*takes)

    def compiled(function: Function) -> Function:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = _KEPT or before
        try:
            return cast("Function", _compiling(signature, keep=bool(_KEPT))(function))
        except Exception:  # noqa: BLE001 - whatever a file does that was cut short; what is wrong otherwise comes again
            return cast("Function", _compiling(signature, keep=False)(function))
        finally:
            numba.config.CACHE_DIR = before

    return compiled


def _compiling(signature: Any, *, keep: bool) -> Any:
    return numba.njit(signature, nogil=True, error_model="numpy", cache=keep)


def part(function: Function) -> Function:
    """Let kernels call a function."""
    return cast("Function", numba.njit(error_model="numpy")(function))


@_instruction
def byte_at(_: Any, data: Any, place: Any) -> Any:  # noqa: ARG001 - by name in calls
    """Return the byte at a place of an array of bytes, as a whole number."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        start = context.make_array(signature.args[0])(context, builder, given[0]).data
        return builder.zext(builder.load(builder.gep(start, [given[1]])), _WORD)

    return int64(data, int64), code


@_instruction
def word_at(_: Any, data: Any, place: Any) -> Any:  # noqa: ARG001 - by name in calls
    """Return the eight bytes from a place on, the first one lowest."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        start = context.make_array(signature.args[0])(context, builder, given[0]).data
        place = builder.gep(start, [given[1]])
        word = builder.load(builder.bitcast(place, _WORD.as_pointer()))
        word.align = 1
        return word

    return uint64(data, int64), code


@_instruction
def put_word(_: Any, room: Any, place: Any, word: Any) -> Any:  # noqa: ARG001 - the same
    """Write a word's eight bytes from a place on, the lowest first."""

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        start = context.make_array(signature.args[0])(context, builder, given[0]).data
        place = builder.gep(start, [given[1]])
        builder.store(given[2], builder.bitcast(place, _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return void(room, int64, uint64), code


@_instruction
def zeros_below(_: Any, word: Any) -> Any:  # noqa: ARG001 - the same
    """Return how many of a word's lowest bits are 0: 64 of none."""

    def code(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.cttz(given[0], ir.Constant(ir.IntType(1), 0))

    return int64(uint64), code


@_instruction
def zeros_above(_: Any, word: Any) -> Any:  # noqa: ARG001 - the same
    """Return how many of a word's highest bits are 0: 64 of none."""

    def code(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.ctlz(given[0], ir.Constant(ir.IntType(1), 0))

    return int64(uint64), code


@_instruction
def as_double(_: Any, word: Any) -> Any:  # noqa: ARG001 - the same
    """Return the number whose bits these are."""

    def code(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.bitcast(given[0], ir.DoubleType())

    return float64(uint64), code


@_instruction
def as_float(_: Any, word: Any) -> Any:  # noqa: ARG001 - the same
    """Return the number whose bits the lower half of a word is."""

    def code(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        half = builder.trunc(given[0], ir.IntType(32))
        return builder.fpext(builder.bitcast(half, ir.FloatType()), ir.DoubleType())

    return float64(uint64), code


@_instruction
def swapped(_: Any, word: Any) -> Any:  # noqa: ARG001 - the same
    """Return a word with its bytes in the other order."""

    def code(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.bswap(given[0])

    return uint64(uint64), code


@_instruction
def at_least(_: Any, number: Any, other: Any) -> Any:
    """Return 1 if a number is at least another one, else 0; as a word, so that nothing branches."""

    def code(_context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        return builder.zext(builder.fcmp_ordered(">=", *given), _WORD)

    return uint64(number, other), code
