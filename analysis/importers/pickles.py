"""Reading a pickle as data: a small stack machine that builds values and never calls what the file names.

A pickle is a program. Python's own reader imports the functions and classes that it names and calls them, so that
loading a foreign file can do anything. Here nothing is imported (:mod:`analysis.importers.values` says what a
name becomes), and what isn't on its short list is refused with its name:

==========================  ==========================================================================
opcode                      what is allowed
==========================  ==========================================================================
GLOBAL, STACK_GLOBAL        any name; nothing is imported
REDUCE, INST, OBJ           a name of ``CALLS``
NEWOBJ, NEWOBJ_EX           a name of ``CALLS``, or of a package outside Python's own library: Foreign
BUILD                       on a Foreign value (kept in it) or a dictionary (left out)
PERSID, BINPERSID           what the container (the zip file around the pickle) makes of it
==========================  ==========================================================================
"""

from __future__ import annotations

import pickletools

from analysis.errors import ArgumentError
from analysis.importers.values import Foreign, Global, call, new, refuse

__all__ = ["read_pickle"]

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": set}
LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
IGNORED = {"PROTO", "FRAME"}


class _Machine:
    """The stack, the memo, and one method for each group of opcodes."""

    def __init__(self, persistent):
        self.stack, self.marks, self.memo, self.persistent = [], [], {}, persistent

    def run(self, stream):
        for opcode, argument, _ in pickletools.genops(stream):
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            elif name in EMPTY:
                self.stack.append(EMPTY[name]())
            elif name in SIZES:
                self.stack[-SIZES[name] :] = [tuple(self.take(SIZES[name]))]
            elif name in LITERALS:
                self.stack.append(argument)
            elif name not in IGNORED:
                method = getattr(self, f"do_{name.lower().removeprefix('long_').removeprefix('bin')}", None)
                if method is None:
                    raise refuse(f"a file with the opcode {name}")
                method(argument)
        raise ValueError("no end")

    def take(self, count: int) -> list:
        """The last ``count`` values, left on the stack."""
        if len(self.stack) < count:
            raise IndexError("the stack is too short")
        return self.stack[-count:]

    def pop_mark(self) -> list:
        """All values since the last mark, taken off the stack."""
        values, self.stack = self.stack, self.marks.pop()
        return values

    # -- the stack and the memo ------------------------------------------------------------------
    def do_mark(self, _):
        self.marks.append(self.stack)
        self.stack = []

    def do_pop(self, _):
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def do_pop_mark(self, _):
        self.pop_mark()

    def do_dup(self, _):
        self.stack.append(self.stack[-1])

    def do_put(self, index):
        self.memo[index] = self.stack[-1]

    def do_memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def do_get(self, index):
        self.stack.append(self.memo[index])

    # -- containers ------------------------------------------------------------------------------
    def do_tuple(self, _):
        values = self.pop_mark()
        self.stack.append(tuple(values))

    def do_list(self, _):
        values = self.pop_mark()
        self.stack.append(values)

    def do_dict(self, _):
        values = self.pop_mark()
        self.stack.append(_pairs(values))

    def do_frozenset(self, _):
        values = self.pop_mark()
        self.stack.append(frozenset(values))

    def do_append(self, _):
        value = self.stack.pop()
        _values(self.stack[-1]).append(value)

    def do_appends(self, _):
        values = self.pop_mark()
        _values(self.stack[-1]).extend(values)

    def do_setitem(self, _):
        value, key = self.stack.pop(), self.stack.pop()
        _items(self.stack[-1])[key] = value

    def do_setitems(self, _):
        values = self.pop_mark()
        _items(self.stack[-1]).update(_pairs(values))

    def do_additems(self, _):
        values = self.pop_mark()
        if not isinstance(self.stack[-1], set):
            raise TypeError("no set")
        self.stack[-1].update(values)

    # -- names and objects -----------------------------------------------------------------------
    def do_global(self, argument):
        self.stack.append(Global(*argument.split(" ", 1)))

    def do_stack_global(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise TypeError("a name that is no text")
        self.stack.append(Global(module, name))

    def do_reduce(self, _):
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(call(function, arguments))

    def do_inst(self, argument):
        arguments = self.pop_mark()
        self.stack.append(call(Global(*argument.split(" ", 1)), arguments))

    def do_obj(self, _):
        kind, *arguments = self.pop_mark()
        self.stack.append(call(kind, arguments))

    def do_newobj(self, _):
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.stack.append(new(kind, arguments))

    def do_newobj_ex(self, _):
        _keywords, arguments, kind = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(new(kind, arguments))

    def do_build(self, _):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Foreign):
            target.state = state
        elif not isinstance(target, dict):
            raise refuse(f"a file that sets the state of {target if isinstance(target, Global) else type(target)}")

    def do_persid(self, argument):
        self.stack.append(self.persistent(self.stack.pop() if argument is None else argument))


def _pairs(values: list) -> dict:
    if len(values) % 2:
        raise ValueError("a key without value")
    return dict(zip(values[::2], values[1::2], strict=True))


def _items(target) -> dict:
    """The dictionary that a pickle fills: a plain one, or that of a foreign one."""
    if not isinstance(target, (dict, Foreign)):
        raise TypeError("no dictionary")
    return target.items if isinstance(target, Foreign) else target


def _values(target) -> list:
    """The list that a pickle fills: a plain one, or that of a foreign one."""
    if not isinstance(target, (list, Foreign)):
        raise TypeError("no list")
    return target.values if isinstance(target, Foreign) else target


def read_pickle(stream, persistent) -> object:
    """Read one pickle from a binary stream as data, leaving the stream behind its end.

    ``persistent`` turns the names of things outside the pickle (torch: its storages) into values. Raises
    :class:`ArgumentError` for a pickle that calls anything beyond :data:`CALLS`, and for a damaged one.
    """
    try:
        return _Machine(persistent).run(stream)
    except ArgumentError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise ArgumentError("checkpoint", f"a damaged pickle ({error})", "a whole checkpoint file") from None
