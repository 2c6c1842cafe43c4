"""All that the notebook defines, in one module and one namespace, as in a kernel."""

import linecache

import assembly

SOURCE = assembly.definitions()
__file__ = "<the notebook's definitions>"  # so that sources can be looked up
linecache.cache[__file__] = (len(SOURCE), None, SOURCE.splitlines(True), __file__)
exec(compile(SOURCE, __file__, "exec"), globals())
