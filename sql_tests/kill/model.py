"""What the writer of the kill test does in transaction n of a seed, as operations on a table with (k TEXT PRIMARY KEY, v) and on a
rowid table; the parent replays the same operations on dictionaries to know what must be there."""
import random

KEYS = 400


def operations(seed, n):
    """The operations of transaction n (from 1): ('put', k, v), ('delete', k), ('delete_range', low, high), ('add', id, v).
    Every transaction also stores n itself, so that the state says which one it is."""
    rng = random.Random(seed * 1000003 + n)
    made = []
    for _ in range(rng.choice((1, 1, 2, 5, 20, 100))):
        key = f"key{rng.randrange(KEYS):04d}"
        kind = rng.random()
        if kind < 0.7:
            made.append(("put", key, f"{n}:" + "v" * rng.randrange(200)))
        elif kind < 0.9:
            made.append(("delete", key))
        else:
            low = rng.randrange(KEYS)
            made.append(("delete_range", f"key{low:04d}", f"key{low + rng.randrange(8):04d}"))
    made.append(("add", n, f"row {n}"))
    return made


def apply(state, operation):
    keyed, rows = state
    kind = operation[0]
    if kind == "put":
        keyed[operation[1]] = operation[2]
    elif kind == "delete":
        keyed.pop(operation[1], None)
    elif kind == "delete_range":
        for key in [key for key in keyed if operation[1] <= key < operation[2]]:
            del keyed[key]
    else:
        rows[operation[1]] = operation[2]
        rows.pop(operation[1] - 50, None)  # the writer deletes it in the same transaction
