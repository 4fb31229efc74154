"""What ``status`` prints for people: a line about the node, a table of links, one of carriers."""

from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from shared.app.cli import moment, out


def show_status(status: dict[str, Any]) -> None:
    """Print what ``shared.app.status.report`` returned."""
    out.print(
        f"{status['label']} {status['division']} ({status['level']}), "
        f"{status['records']} records, {len(status['quarantine'])} frames in quarantine"
    )
    if (one := status["listening"]) and one["since_ms"] is not None:
        out.print(f"the parent is silent; listening to {one['to']} since {moment(one['since_ms'])}")
    if (one := status["bypass"]) and one["since_ms"] is not None:
        because = one["because"]
        out.print(
            f"by-pass to {one['to']} since {moment(one['since_ms'])}, "
            f"because of {because['ancestor']}: {because['reason'].replace('_', ' ')}"
        )
    for one in status["unasked"]:
        out.print(
            f"ALARM: {one['issuer']} certified another key for this division, unasked: "
            f"{one['certificate'][:16]}. Tell the district."
        )
    for one in status["unconfirmed"]:
        disowned = "; the division DISOWNS it" if one["disowned"] else ""
        whose = f"{escape(one['label'])} {one['division']}"
        number, issuer = one["certificate"][:16], one["issuer"]
        out.print(f"unconfirmed key of {whose}: {number} by {issuer}{disowned}")
    out.print(_links(status["links"]))
    if status["carriers"]:
        out.print(_carriers(status["carriers"]))
    if gaps := status["missing"]:
        records = sum(one["records"] for one in gaps)
        out.print(f"missing, by others' signed word: {records} records of {len(gaps)} feeds")
    if (said := status["said_to_all"])["on"] or said["records"]:
        out.print(f"said once to all below: {said['records']} records")


def _links(links: list[dict[str, Any]]) -> Table:
    table = Table("neighbour", "link", "reconnects", "backlog", "in flight", "trouble")
    for one in links:
        state = f"open {one['by']}".strip() if one["connected_since_ms"] else "down"
        figures = (one["reconnects"], one["backlog"], one["in_flight"])
        table.add_row(one["peer"], state, *map(str, figures), escape(one["trouble"]))
    return table


def _carriers(carriers: list[dict[str, Any]]) -> Table:
    names = ("carrier", "since", "reconnects", "unconfirmed", "backlog", "trouble")
    table = Table(*(Column(name, overflow="fold") for name in names))
    for one in carriers:
        place = f"{'answers at' if one['answers'] else 'dials'} {one['address']}"
        figures = (one["reconnects"], one["unconfirmed"], one["backlog"])
        trouble = f"the broker is {one['alarm']}" if one["alarm"] else one["trouble"]
        since = moment(one["connected_since_ms"])
        table.add_row(escape(place), since, *map(str, figures), escape(trouble))
    return table
