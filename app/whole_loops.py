"""Templates whose loops give their text in one piece, and whose values cost little.

Jinja's templates are generators: what stands in a block of a page that extends another one in an included file passes
through four of them, piece by piece, and a long table has thousands of pieces. Inside a loop they are gathered instead,
as Jinja does in macros; the text is the same. So it is with values, see escaping.py."""

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame


class WholeLoops(CodeGenerator):
    """Jinja's own compiler but for loops and values."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:
        self.writeline("from app.escaping import as_text")
        super().visit_Template(node, frame)

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape or finalize.src is not None:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write("as_text(")

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        if frame.buffer is not None or node.recursive:
            super().visit_For(node, frame)
            return
        self.buffer(frame)
        super().visit_For(node, frame)
        gathered, frame.buffer = frame.buffer, None
        self.writeline(f"yield concat({gathered})", node)
