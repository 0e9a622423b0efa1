"""A small language for loops over vectors of numbers, for `machine` to compile while the program runs.

Python code that handles `Value`s writes LLVM's intermediate code through llvmlite, a wheel without a compiler. An
``if`` on a Python value decides what is written, so one readable function stands for many kernels, and what a kernel
has no use for is not in it. Vectors are wider than any machine's registers; LLVM cuts them to fit the CPU at hand.

Every operation on numbers rounds on its own, except within `Code.fusing`. Numbers of two bytes are bfloat16: worked on
as float32 and rounded after each operation, as torch does. This module knows no neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from spikemark_adapters.fused.machine import NAME

_WHOLE = ir.IntType(64)


@dataclass(frozen=True)
class Array:
    """Floating-point numbers in memory.

    Attributes:
        address: of the first.
        itemsize: bytes of each; 2 is bfloat16.
    """

    address: Value
    itemsize: int

    def skip(self, numbers: Value) -> Array:
        """The array from there on."""
        return Array(self.address + numbers * self.itemsize, self.itemsize)


class Value:
    """A whole number, a floating-point number or a vector of those, or the outcome of a comparison of such."""

    def __init__(self, code: Code, emitted: Any) -> None:
        self.code = code
        self.emitted = emitted

    def like(self, constant: float) -> Value:
        """`constant` in the type of this value."""
        kind = self.emitted.type
        return Value(
            self.code, ir.Constant(kind, [constant] * kind.count if isinstance(kind, ir.VectorType) else constant)
        )

    def __add__(self, other: Value | float) -> Value:
        return self._with(other, "add")

    def __sub__(self, other: Value | float) -> Value:
        return self._with(other, "sub")

    def __mul__(self, other: Value | float) -> Value:
        return self._with(other, "mul")

    def __truediv__(self, other: Value | float) -> Value:
        return self._with(other, "div")

    def __rsub__(self, other: float) -> Value:
        return self.like(other) - self

    def __rtruediv__(self, other: float) -> Value:
        return self.like(other) / self

    def __floordiv__(self, other: Value) -> Value:
        return Value(self.code, self.code.builder.sdiv(self.emitted, other.emitted))

    def __mod__(self, other: Value) -> Value:
        return Value(self.code, self.code.builder.srem(self.emitted, other.emitted))

    __radd__, __rmul__ = __add__, __mul__

    def __ge__(self, other: Value | float) -> Value:
        return self._against(other, ">=")

    def __gt__(self, other: Value | float) -> Value:
        return self._against(other, ">")

    def __lt__(self, other: Value | float) -> Value:
        return self._against(other, "<")

    def __abs__(self) -> Value:
        held = self._bits()
        sign = held.like((1 << (self.code.itemsize * 8 - 1)) - 1)
        cleared = self.code.builder.and_(held.emitted, sign.emitted)
        return Value(self.code, self.code.builder.bitcast(cleared, self.emitted.type))

    def choose(self, yes: Value, no: Value) -> Value:
        """`yes` where this comparison holds, else `no`; each lane on its own."""
        return Value(self.code, self.code.builder.select(self.emitted, yes.emitted, no.emitted))

    def double(self) -> Value:
        """The same number as a float64."""
        kind = self.emitted.type
        wide = ir.VectorType(ir.DoubleType(), kind.count) if isinstance(kind, ir.VectorType) else ir.DoubleType()
        return self if kind == wide else Value(self.code, self.code.builder.fpext(self.emitted, wide))

    def arranged(self, places: Sequence[int], other: Value | None = None) -> Value:
        """The vector of the lanes at `places`, where those of `other` count on from the last of this one."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
        second = self.emitted if other is None else other.emitted
        return Value(self.code, self.code.builder.shuffle_vector(self.emitted, second, mask))

    def repeated(self, lanes: int) -> Value:
        """So many lanes of this number, or of this vector again and again; itself where it has as many."""
        kind = self.emitted.type
        own = kind.count if isinstance(kind, ir.VectorType) else 1
        if own == 1:
            return self.code.spread(self, lanes)
        return self if lanes == own else self.arranged([lane % own for lane in range(lanes)])

    def power_of_two(self, mantissa: int, bias: int) -> Value:
        """2 to the whole number that the low bits of this number hold, given the layout of its type."""
        held = self._bits()
        shifted = Value(self.code, self.code.builder.shl(held.emitted, held.like(mantissa).emitted))
        exponent = shifted + (bias << mantissa)
        return Value(self.code, self.code.builder.bitcast(exponent.emitted, self.emitted.type))

    def rounded(self) -> Value:
        """This float32 as bfloat16, whose bits are the upper half: to the nearest, ties to even."""
        bits, builder = self._bits(), self.code.builder
        odd = builder.and_(builder.lshr(bits.emitted, bits.like(16).emitted), bits.like(1).emitted)
        carried = builder.add((bits + 0x7FFF).emitted, odd)
        upper = builder.and_(carried, bits.like(0xFFFF0000).emitted)
        return Value(self.code, builder.bitcast(upper, self.emitted.type))

    def _bits(self) -> Value:
        kind = self.emitted.type
        bits = self.code._wholes(kind.count if isinstance(kind, ir.VectorType) else 1, self.code.itemsize * 8)
        return Value(self.code, self.code.builder.bitcast(self.emitted, bits))

    def _is_whole(self) -> bool:
        kind = self.emitted.type
        return isinstance(kind.element if isinstance(kind, ir.VectorType) else kind, ir.IntType)

    def _with(self, other: Value | float, operation: str) -> Value:
        second = other if isinstance(other, Value) else self.like(other)
        builder = self.code.builder
        if self._is_whole():
            return Value(self.code, getattr(builder, operation)(self.emitted, second.emitted))
        emit = getattr(builder, f"f{operation}")
        exact = Value(self.code, emit(self.emitted, second.emitted, flags=self.code.flags))
        return exact.rounded() if self.code.rounds else exact

    def _against(self, other: Value | float, relation: str) -> Value:
        second = other if isinstance(other, Value) else self.like(other)
        builder = self.code.builder
        compare = builder.icmp_signed if self._is_whole() else builder.fcmp_ordered
        return Value(self.code, compare(relation, self.emitted, second.emitted))


class Variable:
    """What changes from one turn of a loop to the next; lives in registers once compiled."""

    def __init__(self, first: Value) -> None:
        self._code = first.code
        with self._code.builder.goto_entry_block():
            self._place = self._code.builder.alloca(first.emitted.type)
        self.set(first)

    def get(self) -> Value:
        """The value now."""
        return Value(self._code, self._code.builder.load(self._place))

    def set(self, value: Value) -> None:
        """Change the value."""
        self._code.builder.store(value.emitted, self._place)


class Code:
    """A function being written.

    Args:
        itemsize: bytes of floating-point numbers: 4 or 8, or 2 for bfloat16.

    Attributes:
        builder: where llvmlite writes.
        module: of the function.
        itemsize: bytes of a number while it is worked on.
        rounds: whether each operation's outcome is rounded to bfloat16.
        flags: LLVM's freedoms for operations on numbers.
        argument: the function's argument, an address.
    """

    def __init__(self, itemsize: int) -> None:
        self.itemsize = max(itemsize, 4)
        self.rounds = self._brief = itemsize == 2
        self.module = ir.Module()
        self.module.triple = llvm.get_process_triple()
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [_WHOLE]), NAME)
        function.append_basic_block("entry")
        self.builder = ir.IRBuilder(function.append_basic_block("body"))
        self.flags: tuple[str, ...] = ()
        self.argument = Value(self, function.args[0])
        self._real: Any = {4: ir.FloatType(), 8: ir.DoubleType()}[self.itemsize]

    @contextmanager
    def fusing(self) -> Iterator[None]:
        """Within, a product and the sum that takes it may round once, where the CPU can; no number is made bfloat16."""
        self.flags, self.rounds = ("contract",), False
        yield
        self.flags, self.rounds = (), self._brief

    def whole(self, number: int) -> Value:
        """A whole number known now."""
        return Value(self, ir.Constant(_WHOLE, number))

    def zero(self, lanes: int) -> Value:
        """A vector of zeros."""
        return Value(self, ir.Constant(self._vector(lanes), None))

    def field(self, number: int, *, real: bool = False) -> Value:
        """The argument's field: 8 bytes, a whole number or a float64 (rounded to the type of the function)."""
        kind = ir.DoubleType() if real else _WHOLE
        value = self.builder.load(self._pointer(self.argument + 8 * number, kind), typ=kind)
        return Value(self, self.builder.fptrunc(value, self._real) if real and self.itemsize == 4 else value)

    def spread(self, number: Value, lanes: int) -> Value:
        """A vector of one number."""
        if lanes == 1:
            return number
        first = self.builder.insert_element(
            ir.Constant(self._vector(lanes), ir.Undefined), number.emitted, ir.Constant(ir.IntType(32), 0)
        )
        nowhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
        return Value(self, self.builder.shuffle_vector(first, first, nowhere))

    def load(self, array: Array, index: Value, lanes: int) -> Value:
        """`lanes` numbers of an array, from the `index`-th on."""
        kind, builder = self._vector(lanes), self.builder
        if array.itemsize > 2:
            place = self._pointer(array.skip(index).address, kind)
            return Value(self, builder.load(place, align=array.itemsize, typ=kind))
        halves, wholes = self._wholes(lanes, 16), self._wholes(lanes, 32)
        upper = builder.load(self._pointer(array.skip(index).address, halves), align=2, typ=halves)
        bits = Value(self, builder.zext(upper, wholes))
        return Value(self, builder.bitcast(builder.shl(bits.emitted, bits.like(16).emitted), kind))

    def store(self, value: Value, array: Array, index: Value) -> None:
        """Write numbers to an array, the first to its place `index`."""
        emitted = value.emitted
        if array.itemsize == 2:
            lanes = emitted.type.count if isinstance(emitted.type, ir.VectorType) else 1
            bits = value.rounded()._bits()
            upper = self.builder.lshr(bits.emitted, bits.like(16).emitted)
            emitted = self.builder.trunc(upper, self._wholes(lanes, 16))
        place = self._pointer(array.skip(index).address, emitted.type)
        self.builder.store(emitted, place, align=array.itemsize)

    def prefetch(self, array: Array, index: Value) -> None:
        """Have the cache fetch the `index`-th number of an array; there need not be one."""
        small, hint = ir.IntType(32), "llvm.prefetch.p0"
        place = self._pointer(array.skip(index).address, ir.IntType(8))
        if hint not in self.module.globals:
            ir.Function(self.module, ir.FunctionType(ir.VoidType(), [place.type, small, small, small]), hint)
        to_read, all_levels, data = (ir.Constant(small, number) for number in (0, 3, 1))
        self.builder.call(self.module.globals[hint], [place, to_read, all_levels, data])

    def take(self, field: int) -> Value:
        """Count up a field of the argument, atomically; its value before.

        Whoever sees a number also sees all that was written by those who took the ones before it.
        """
        place = self._pointer(self.argument + 8 * field, _WHOLE)
        return Value(self, self.builder.atomic_rmw("add", place, ir.Constant(_WHOLE, 1), "acq_rel"))

    def least(self, a: Value, b: Value) -> Value:
        """The smaller of two whole numbers."""
        return (a < b).choose(a, b)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """What is done only if `condition` holds."""
        with self.builder.if_then(condition.emitted):
            yield

    @contextmanager
    def repeat(self, condition: Callable[[], Value]) -> Iterator[None]:
        """A loop that goes on while `condition`, asked before each turn, holds."""
        builder = self.builder
        ask, turn, end = (builder.append_basic_block() for _ in range(3))
        builder.branch(ask)
        builder.position_at_end(ask)
        builder.cbranch(condition().emitted, turn, end)
        builder.position_at_end(turn)
        yield
        builder.branch(ask)
        builder.position_at_end(end)

    @contextmanager
    def count(self, variable: Variable, stop: Value, step: int = 1) -> Iterator[Value]:
        """A loop from the variable's value on, in steps, while a whole step fits in before `stop`."""
        with self.repeat(lambda: stop >= variable.get() + step):
            now = variable.get()
            yield now
            variable.set(now + step)

    def text(self) -> str:
        """The function's intermediate code, complete; nothing can be written after it."""
        self.builder.ret_void()
        entry, body = self.builder.function.blocks[:2]
        ir.IRBuilder(entry).branch(body)
        return str(self.module)

    def _vector(self, lanes: int) -> Any:
        return self._real if lanes == 1 else ir.VectorType(self._real, lanes)

    def _wholes(self, lanes: int, bits: int) -> Any:
        return ir.IntType(bits) if lanes == 1 else ir.VectorType(ir.IntType(bits), lanes)

    def _pointer(self, address: Value, kind: Any) -> Any:
        return self.builder.inttoptr(address.emitted, kind.as_pointer())
