"""Vendor JSON dialects that have more than one speaker, and what every HTTP vendor needs beside its dialect.

`sse`, `json_text`, `merge_patch`, `retry_hints`, `classification` and `losses` serve all providers; a package below
is one wire. Only modules called `adapter`, `vendor` or `service` do I/O.
"""
