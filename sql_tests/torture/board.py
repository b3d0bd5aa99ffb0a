"""The board of the torture test: a small mapped file that the controller and its processes share, because what a killed process has
not said through its pipe is lost. One slot per process: how often it has moved, what it is doing, the last row of the chain it was told is committed."""
import mmap
import os

WORDS = 4
MOVES, DOING, ACKED = 0, 1, 2
IDLE, READING, WRITING, BULK, FLUSHING, MERGING, OPENING, CLOSING = range(8)


class Board:
    def __init__(self, path, slots, create=False):
        size = (1 + slots) * WORDS * 8
        if create:
            with open(path, "wb") as file:
                file.truncate(size)
        handle = os.open(path, os.O_RDWR)
        self.words = memoryview(mmap.mmap(handle, size)).cast("Q")  # one item is stored at once: nobody sees half of it
        os.close(handle)
        self.slots = slots

    def get(self, slot, what):
        return self.words[(1 + slot) * WORDS + what]

    def put(self, slot, what, value):
        self.words[(1 + slot) * WORDS + what] = value

    def move(self, slot, doing):
        self.put(slot, DOING, doing)
        self.put(slot, MOVES, self.get(slot, MOVES) + 1)

    def acked(self):
        """The highest row of the chain that any process was told is committed."""
        return max(self.get(slot, ACKED) for slot in range(self.slots))

    @property
    def ending(self):
        return self.words[0] != 0

    @ending.setter
    def ending(self, value):
        self.words[0] = 1 if value else 0
