#!/usr/bin/env python3
"""Writes fold_table.h: for each character the small letter without its accents, as runs; 0 for those left out."""
import unicodedata


SPACES = [*range(0x9, 0xE), 0x85]


def fold(code):
    """Marks, control, format and private characters and U+FFFD are left out."""
    category = unicodedata.category(chr(code))
    if category == "Cs" or code in SPACES:
        return code
    if category[0] == "M" or category in ("Cc", "Cf", "Co") or code == 0xFFFD:
        return 0
    base = unicodedata.normalize("NFD", chr(code))[0]
    lower = base.lower()
    return ord(lower) if len(lower) == 1 else ord(base)


def in_table(code):
    """Hangul is computed; CJK compatibility ideographs are left as they are."""
    hangul = 0xAC00 <= code <= 0xD7A3
    ideograph = 0xF900 <= code <= 0xFAFF or 0x2F800 <= code <= 0x2FA1F
    return not hangul and not ideograph and (fold(code) != code or code == 0)


def runs():
    codes = [c for c in range(0x110000) if in_table(c)]
    at = 0
    while at < len(codes):
        first = codes[at]
        best = (0, 1, 0)
        for step, to_step in ((1, 0), (1, 1), (2, 0), (2, 2)):
            n = 1
            while at + n < len(codes) and codes[at + n] == first + n * step and \
                    fold(codes[at + n]) == fold(first) + n * to_step:
                n += 1
            best = max(best, (n, step, to_step), key=lambda r: r[0])
        yield (first, best[0], best[1], fold(first), best[2])
        at += best[0]


rows = ["{0x%x, %d, %d, 0x%x, %d}," % r for r in runs()]
print("/* clang-format off")
print(" * Written by fold_table.py from Unicode %s: {first, count, step, folded, step of folded}. */"
      % unicodedata.unidata_version)
line = "   "
for row in rows:
    if len(line) + len(row) > 118:
        print(line)
        line = "   "
    line += " " + row
print(line)
