#!/usr/bin/env python3
"""Writes a C++ source file that holds the bytes of text files.

    embed.py OUT.cpp HEADER NAME=FILE...

gives `extern const std::string_view NAME` in namespace alinea for every file; HEADER is the declaration file to include.
"""
import sys


def array(name, data):
    lines = [",".join(map(str, data[i:i + 40])) for i in range(0, len(data), 40)]
    body = ",\n".join(lines)
    return (f"namespace {{\nconst unsigned char {name}_bytes[] = {{\n{body}}};\n}}\n"
            f"const std::string_view {name}(reinterpret_cast<const char*>({name}_bytes), {len(data)});\n")


def main(out, header, *pairs):
    text = [f'#include "{header}"\n\nnamespace alinea {{\n']
    for pair in pairs:
        name, path = pair.split("=", 1)
        with open(path, "rb") as file:
            data = file.read()
        if not data:
            sys.exit(f"embed.py: {path} is empty")
        text.append(array(name, data))
    text.append("}  // namespace alinea\n")
    with open(out, "w") as file:
        file.write("".join(text))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
