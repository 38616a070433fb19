#!/bin/sh
# The runner named in .cargo/config.toml: starts a program so that it finds libtorch, whatever the
# target folder.
lib="${LIBTORCH:-$(dirname "$0")/../.libtorch}/lib"
if [ -d "$lib" ]; then
    LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    export LD_LIBRARY_PATH
fi
exec "$@"
