"""Templates whose loops give their text in one piece.

Jinja's templates are generators: what stands in a block of a page that extends another one in an included file passes
through four of them, piece by piece, and a long table has thousands of pieces. Inside a loop they are gathered instead,
as Jinja does in macros; the text is the same."""

from __future__ import annotations

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame


class WholeLoops(CodeGenerator):
    """Jinja's own compiler but for loops."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        if frame.buffer is not None or node.recursive:
            super().visit_For(node, frame)
            return
        self.buffer(frame)
        super().visit_For(node, frame)
        gathered, frame.buffer = frame.buffer, None
        self.writeline(f"yield concat({gathered})", node)
