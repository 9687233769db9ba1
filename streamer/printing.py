"""What the command line prints: figures, findings, and why it refuses. Knows the terminal; no command."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show(figures: dict[str, Any], as_json: bool) -> None:
    """Print figures."""
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, json.dumps(value) if isinstance(value, dict | list) else str(value))
    Console().print(table)


def diagnose(findings: list[Any], as_json: bool) -> None:
    """Print them, and end with 1 where something that matters failed."""
    from dataclasses import asdict

    well = all(finding.state != "failed" for finding in findings)
    if as_json:
        print(json.dumps({"ok": well, "findings": [asdict(finding) for finding in findings]}, indent=1))
    else:
        table = Table("check", "", "found", show_lines=False)
        style = {"ok": "green", "note": "yellow", "failed": "bold red"}
        for finding in findings:
            told = "\n".join(filter(None, (finding.found, finding.remedy and f"-> {finding.remedy}")))
            table.add_row(finding.check, f"[{style[finding.state]}]{finding.state}[/]", escape(told))
        Console().print(table)
    if not well:
        raise typer.Exit(1)


def refuse(reason: str) -> typer.Exit:
    """Say why, and what to raise."""
    Console(stderr=True).print(f"worldloom: {reason}", style="red", markup=False)
    return typer.Exit(2)
