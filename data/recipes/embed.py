#!/usr/bin/env python3
"""Writes a C++ file that holds the given files' bytes, looked up by the path from the first argument's folder."""
import pathlib
import sys

base, output, *paths = sys.argv[1:]
base = pathlib.Path(base).resolve()
lines = ['// Made by embed.py from the JSON files beside it.', '#include "data/recipes/embedded.h"', '', 'namespace alinea {',
         'std::span<const EmbeddedFile> embedded_files() {', '  static constexpr EmbeddedFile files[] = {']
for path in sorted(paths):
    # The language limits a literal to 64 KiB; pieces are joined by the compiler.
    pieces = pathlib.Path(path).read_text(encoding='utf-8').splitlines(keepends=True)
    body = '\n'.join('     R"json_(' + piece + ')json_"' for piece in pieces)
    lines.append('    {"%s",\n%s},' % (pathlib.Path(path).resolve().relative_to(base).as_posix(), body))
lines += ['  };', '  return files;', '}', '}  // namespace alinea', '']
pathlib.Path(output).write_text('\n'.join(lines), encoding='utf-8')
