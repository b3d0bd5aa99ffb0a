"""Random SQL on ordinary tables and on LSM tables of the same declaration. fuzz.py runs it."""
