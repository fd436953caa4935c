"""Expressions as DuckDB's SQL, where the same answer is there for less work."""

from __future__ import annotations

import ibis.expr.operations as ops
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

from features.sources.files.plain_forms import MISSING_PATTERN, MISSING_WORDS

Sql = sge.Expr
"""A piece of a statement."""
_IS_MISSING = "is_word_for_nothing"
_BLANKS = " \t\n\r\v\f"
_BEFORE_SIGNS = "!"


class Compiler(DuckDBCompiler):
    """Ibis operations as DuckDB, looking for words only where one can be."""

    __slots__ = ()

    def visit_RegexSearch(self, op: ops.RegexSearch, *, arg: Sql, pattern: Sql) -> Sql:
        """Search a text; whether a column holds a word for nothing a macro tells."""
        if _asks_for_missing_words(op):
            return self.f.anon[_IS_MISSING](arg.this.this)
        return self.f.regexp_matches(arg, pattern)


def macros() -> str:
    """Return the statement that makes what compiled expressions call.

    Whether a text is a word for nothing is mostly told by its first letter. To take blanks off,
    make letters small and try a pattern on every row takes twenty times as long as reading it.
    """
    letters = {letter for word in MISSING_WORDS for letter in (word[0], word[0].upper())}
    # Blanks and signs come before any letter, and are passed by together.
    signs = max(letter for letter in letters if letter < "0")
    begins = [f"x < '{chr(ord(signs) + 1)}'"]
    begins += [
        f"(x >= '{letter}' AND x < '{chr(ord(letter) + 1)}')"
        for letter in sorted(letters)
        if letter > signs
    ]
    # What is longer than any word has blanks at an end, or is none.
    longest = max(map(len, MISSING_WORDS))
    may_be = f"strlen(x) <= {longest} OR x < '{_BEFORE_SIGNS}' OR right(x, 1) < '{_BEFORE_SIGNS}'"
    pattern = MISSING_PATTERN.replace("'", "''")
    return (
        f"CREATE TEMP MACRO {_IS_MISSING}(x) AS ({' OR '.join(begins)}) AND ({may_be})"
        f" AND regexp_matches(lower(trim(x, '{_BLANKS}')), '{pattern}')"
    )


def _asks_for_missing_words(op: ops.RegexSearch) -> bool:
    is_pattern = isinstance(op.pattern, ops.Literal) and op.pattern.value == MISSING_PATTERN
    if not is_pattern or not isinstance(op.arg, ops.Lowercase):
        return False
    # A macro writes out what it is given wherever it uses it.
    return isinstance(op.arg.arg, ops.Strip) and isinstance(op.arg.arg.arg, ops.Field)
