//! Exit codes: the one place that decides them.

use pgstow::error::{Error, Kind};

/// Everything was done.
pub const DONE: u8 = 0;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// Interrupted by Ctrl-C or SIGTERM.
pub const INTERRUPTED: u8 = 130;

/// The table, as `--help` and `docs/cli.md` show it.
pub const TABLE: [(u8, &str); 9] = [
    (DONE, "done"),
    (
        1,
        "failed, for a reason that has no code of its own; verify, copy: a table differs; doctor: a check failed",
    ),
    (USAGE, "usage: unknown option, impossible combination"),
    (
        3,
        "done in part: something was left undone, with --continue or of --all-databases",
    ),
    (4, "cannot connect or log in, or no such database"),
    (
        5,
        "the archive is damaged, unfinished, no archive, or of a format that needs a newer pgstow",
    ),
    (
        6,
        "refused: target not empty, a confirmation missing, locked",
    ),
    (
        7,
        "storage: missing file, object or bucket, no right, disk full",
    ),
    (INTERRUPTED, "interrupted"),
];

/// How a command ended.
pub enum Outcome<'a> {
    /// Everything was done.
    Done,
    /// The run went on after failures and left something undone.
    Partial,
    /// A comparison found a difference.
    Different,
    /// A check of the doctor's failed.
    Unwell,
    /// It failed.
    Failed(&'a Error),
}

/// The exit code of an outcome.
pub fn code(outcome: &Outcome<'_>) -> u8 {
    match outcome {
        Outcome::Done => DONE,
        Outcome::Partial => 3,
        Outcome::Different | Outcome::Unwell => 1,
        Outcome::Failed(error) => match error.kind() {
            Kind::Usage => USAGE,
            Kind::Connect => 4,
            Kind::Archive | Kind::NewerFormat => 5,
            Kind::Refused => 6,
            Kind::Storage => 7,
            Kind::Interrupted => INTERRUPTED,
            // Failed, ConnectionLost, Server, and kinds that are not known yet.
            _ => 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_the_table() {
        let kinds = [
            (Kind::Failed, 1),
            (Kind::Usage, 2),
            (Kind::Connect, 4),
            (Kind::ConnectionLost, 1),
            (Kind::Server, 1),
            (Kind::Archive, 5),
            (Kind::NewerFormat, 5),
            (Kind::Refused, 6),
            (Kind::Storage, 7),
            (Kind::Interrupted, 130),
        ];
        for (kind, expected) in kinds {
            let error = Error::new(kind, "x");
            let code = code(&Outcome::Failed(&error));
            assert_eq!(code, expected, "{kind:?}");
            assert!(TABLE.iter().any(|(listed, _)| *listed == code));
        }
        for outcome in [
            Outcome::Done,
            Outcome::Partial,
            Outcome::Different,
            Outcome::Unwell,
        ] {
            assert!(TABLE.iter().any(|(listed, _)| *listed == code(&outcome)));
        }
    }

    #[test]
    fn the_documented_table_is_the_table() {
        let documented: Vec<String> = include_str!("../../../docs/cli.md")
            .lines()
            .filter(|line| {
                let first = line.split('|').nth(1).map_or("", str::trim);
                !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit())
            })
            .map(str::to_owned)
            .collect();
        let expected: Vec<String> = TABLE
            .iter()
            .map(|(code, meaning)| format!("| {code} | {meaning} |"))
            .collect();
        assert_eq!(documented, expected);
    }
}
