"""How long each scalar of MessagePack is, by its first byte."""

from __future__ import annotations

import numpy as np

#: First bytes of texts: those of 0 to 31 bytes, then those whose length follows in one, two or four bytes.
SHORT_TEXT, TEXT_8, TEXT_32 = 0xA0, 0xD9, 0xDB

#: Per first byte: bytes of the scalar, without those whose count follows; -1 of what is none.
FIXED = np.ones(256, np.int64)
#: Per first byte: in how many bytes that count follows.
COUNT_BYTES = np.zeros(256, np.int64)

FIXED[0x80:SHORT_TEXT] = FIXED[0xDC:0xE0] = FIXED[0xC1] = -1  # maps, arrays, and never used
FIXED[SHORT_TEXT:0xC0] = 1 + np.arange(32)
FIXED[0xCA:0xCC] = 5, 9  # floats
FIXED[0xCC:0xD0] = FIXED[0xD0:0xD4] = 2, 3, 5, 9  # whole numbers, without a sign and with one
FIXED[0xD4:TEXT_8] = 2 + 2 ** np.arange(5)  # extensions
for _first, _more in ((0xC4, 0), (0xC7, 1), (TEXT_8, 0)):  # bytes, extensions, texts
    COUNT_BYTES[_first : _first + 3] = 1, 2, 4
    FIXED[_first : _first + 3] = np.array([2, 3, 5]) + _more
