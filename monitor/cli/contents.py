"""What `monitor --help` lists, and the examples by which each command teaches: read without loading any command."""

from __future__ import annotations

from typing import NamedTuple


class Example(NamedTuple):
    """A line to copy, and what it is for."""

    aim: str
    line: str


#: Section to its commands, each with its one sentence.
SECTIONS: dict[str, dict[str, str]] = {
    "See it": {
        "demo": "Watch a served model turn unfair, and the monitor undo it.",
    },
    "Set up": {
        "baseline": "Freeze what a version looked like when it was approved.",
        "policy": "Check a policy file; show or change a version's thresholds.",
        "doctor": "Say what is reachable, what is misconfigured, and the fix.",
    },
    "Run": {
        "run": "Count predictions, judge windows, act on verdicts.",
        "web": "Serve the page, and the prediction log over HTTP.",
        "archive": "Copy every prediction and label into the prediction log.",
        "labels": "Load what turned out to be true, and judge by it.",
    },
    "Look": {
        "top": "Follow the whole fleet on one live screen.",
        "status": "Show how each model stands.",
        "reports": "Show what was measured, window by window.",
        "decisions": "Show what was decided, and why.",
        "explain": "Tell the whole story of one prediction.",
        "log": "Ask the prediction log, and have it forget.",
    },
    "Act": {
        "rollback": "Move the alias by hand, on the record.",
        "audit": "Prove that the record of decisions is as it was written.",
    },
    "At the desk": {
        "compare": "Measure one file against another: drift, fairness, quality.",
        "backtest": "Run the engine over the prediction log under another policy.",
        "replay": "Run the engine over a file: what would it have done?",
    },
}

#: Command to its examples; a command of a group by both names.
EXAMPLES: dict[str, tuple[Example, ...]] = {
    "archive": (
        Example("Write the log with settings from a file", "monitor archive --settings prod.yaml"),
    ),
    "audit verify": (
        Example("Prove the record that the settings name", "monitor audit verify"),
        Example("Prove a copy", "monitor audit verify --path backup/audit.jsonl --json"),
    ),
    "backtest": (
        Example(
            "What would a stricter policy have done since May?",
            "monitor backtest --model credit --policy stricter.yaml --since 2026-05-01",
        ),
    ),
    "baseline create": (
        Example(
            "From the data that version 7 was approved on",
            "monitor baseline create --model credit --version 7 --data reference.parquet \\\n"
            "    --prediction approved --score probability --label repaid --groups sex,race",
        ),
    ),
    "baseline show": (
        Example(
            "After checking its hash", "monitor baseline show --model credit --version 7 --json"
        ),
    ),
    "compare": (
        Example(
            "Who is treated otherwise today than in the reference?",
            "monitor compare reference.parquet today.parquet \\\n"
            "    --prediction approved --groups sex,race",
        ),
        Example(
            "In a pipeline: exit code 1 stops it, the page tells people why",
            "monitor compare reference.csv today.csv \\\n"
            "    --policy policy.yaml --html report.html",
        ),
    ),
    "decisions": (
        Example("The newest twenty", "monitor decisions --model credit"),
        Example("For a script", "monitor decisions --limit 100 --json"),
    ),
    "demo": (
        Example("On servers that it starts and stops itself, from wheels", "monitor demo"),
        Example(
            "On what docker compose started",
            "MONITOR_KAFKA__BOOTSTRAP=localhost:19092 \\\n"
            "MONITOR_POLICY__PATH=examples/policy.yaml monitor demo --external",
        ),
    ),
    "doctor": (
        Example("Look at everything; exit code 1 if something fails", "monitor doctor"),
        Example("For a probe", "monitor doctor --json"),
    ),
    "explain": (
        Example("Why was this one answered so?", "monitor explain 0195f3c2 --model credit"),
        Example("With what only an auditor may see", "monitor explain 0195f3c2 --protected"),
    ),
    "labels judge": (
        Example("As a service beside `monitor run`", "monitor labels judge"),
        Example("What do today's labels say?", "monitor labels judge --once --json"),
    ),
    "labels load": (
        Example(
            "Outcomes from the core system, as they become known",
            "monitor labels load repaid.csv --model credit",
        ),
    ),
    "log erase": (
        Example("A person asks to be forgotten", "monitor log erase --subject customer-4711"),
    ),
    "log expire": (
        Example("What is due?", "monitor log expire --dry-run"),
        Example("Delete it, once a day", "monitor log expire --json"),
    ),
    "log query": (
        Example(
            "One afternoon's predictions for people over 40",
            "monitor log query --model credit --since 2026-05-01T12:00 \\\n"
            "    --until 2026-05-01T18:00 --where 'features.age > 40'",
        ),
        Example(
            "One person's, as a file",
            "monitor log query --model credit --subject customer-4711 \\\n"
            "    --format parquet --output theirs.parquet",
        ),
    ),
    "log rotate": (
        Example("After the master key was changed in the settings", "monitor log rotate"),
    ),
    "policy validate": (Example("Before it is deployed", "monitor policy validate policy.yaml"),),
    "policy show": (
        Example("What is version 7 judged by?", "monitor policy show --model credit --version 7"),
    ),
    "policy adopt": (
        Example(
            "The policy's levels, for a version that was registered under others",
            'monitor policy adopt --model credit --version 7 --reason "agreed"',
        ),
    ),
    "replay": (
        Example(
            "Would this policy have rolled back last month?",
            "monitor replay may.parquet --time-column at --model credit --version 7 \\\n"
            "    --reference reference.parquet --prediction approved --groups sex \\\n"
            "    --policy stricter.yaml",
        ),
    ),
    "reports": (
        Example("The newest windows of one version", "monitor reports --model credit --version 7"),
        Example("For a script", "monitor reports --limit 200 --json"),
    ),
    "rollback": (
        Example(
            "Check first, then move",
            'monitor rollback --model credit --to 6 --reason "ticket 812" --dry-run',
        ),
        Example(
            "Move champion to version 6, on the record",
            'monitor rollback --model credit --to 6 --reason "ticket 812"',
        ),
    ),
    "run": (
        Example("Everything in one process", "monitor run --settings prod.yaml"),
        Example("Many that count, one that acts", "monitor run --role stream"),
    ),
    "status": (
        Example("Each model on a line", "monitor status"),
        Example("For a script", "monitor status --json"),
    ),
    "top": (
        Example("Redrawn every two seconds, until q or Ctrl-C", "monitor top"),
        Example("One picture, and the end", "monitor top --once"),
    ),
    "web": (
        Example("For this machine alone", "monitor web"),
        Example(
            "For others too: web.auth says how they are known",
            "monitor web --host 0.0.0.0 --settings prod.yaml",
        ),
    ),
}

#: What the numbers mean that a command ends with.
EXIT_CODES: dict[int, str] = {
    0: "all is well; a warning at most, or too few rows to tell",
    1: "a breach was found, or a check failed",
    2: "the input or a setting is wrong, or a server does not answer",
    70: "an unexpected error: please report it; with --once, worth another try",
    130: "interrupted by Ctrl-C",
}
