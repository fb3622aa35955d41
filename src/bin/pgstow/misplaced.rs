//! Options of `pg_dump`, `pg_restore` and `pg_dumpall` that are not where a hand looks for them first.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use pgstow::error::{Error, Kind};

/// An error that says where the option is; `None` when it is of no program of PostgreSQL, or something else is
/// wrong with the arguments. `command` is the first argument.
pub fn explained(error: &clap::Error, command: &str) -> Option<Error> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let option = option.split('=').next().unwrap_or(option);
    let place = place(option, command)?;
    let text = format!("{command} has no option {option}");
    Some(Error::new(Kind::Usage, text).with_hint(place))
}

fn place(option: &str, command: &str) -> Option<&'static str> {
    Some(match (option, command) {
        ("-F" | "--format", _) => {
            "there is one archive format: leave it out; `pgstow sql` writes a script of an archive"
        }
        (
            "--inserts"
            | "--column-inserts"
            | "--attribute-inserts"
            | "--rows-per-insert"
            | "--on-conflict-do-nothing"
            | "--disable-dollar-quoting",
            _,
        ) => "rows are archived as COPY and loaded with it; `pgstow sql` writes a script with COPY",
        ("-l" | "--list", _) => "`pgstow list FILE` writes the list",
        ("-f", "restore") => {
            "`pgstow sql FILE -f SCRIPT` writes a script; restore takes a database: -d"
        }
        ("-c" | "--clean", "dump" | "list" | "verify") => {
            "an archive has all that it needs for it: say it to restore (`pgstow restore --clean`)"
        }
        ("-C" | "--create", "dump" | "list" | "verify") => {
            "an archive has all that it needs for it: say it to restore (`pgstow restore --create`)"
        }
        ("--if-exists", "dump" | "list" | "verify") => {
            "an archive has all that it needs for it: say it to restore (`pgstow restore --clean --if-exists`)"
        }
        ("-C" | "--create", "sql") => {
            "a script is for a database that is there; `pgstow restore --create` makes one"
        }
        (
            "-n" | "--schema" | "-t" | "--table" | "--table-and-children" | "-e" | "--extension",
            "backup",
        ) => {
            "a backup of a part is said where the job is: dump.schema, dump.table, … in pgstow.toml, or \
             PGSTOW_DUMP_SCHEMA, PGSTOW_DUMP_TABLE, …"
        }
        ("-S" | "--superuser" | "--disable-triggers", "dump") => {
            "triggers are switched by `pgstow restore --disable-triggers`"
        }
        ("--extra-float-digits", _) => "numbers are always written so that nothing of them is lost",
        ("--no-restrict", "dump") => "it is for scripts: `pgstow sql --no-restrict`",
        ("-o" | "--oids", _) => "rows have had no OIDs of their own since PostgreSQL 12",
        ("-d" | "--dbname", "list" | "sql") => {
            "an archive is read from its file; no database is asked"
        }
        ("-d" | "--dbname", "verify") => "--against CONNECTION compares with a live database",
        ("-r", "dump") => "it is --roles-only",
        ("--with-schema" | "--with-data", _) => "it is the default: leave it out",
        ("--with-statistics", _) => "it is --statistics",
        ("--no-blobs", _) => "large objects are chosen at the dump: --no-large-objects",
        ("--no-sync" | "--sync-method", _) => {
            "an archive is always brought to disk before it takes its name: leave it out"
        }
        ("--use-set-session-authorization", _) => "owners are always set by ALTER … OWNER",
        ("--restrict-key", _) => "keys are made at random; `sql --no-restrict` does without",
        ("--binary-upgrade", _) => "pg_upgrade takes pg_dump alone",
        ("-E" | "--encoding", _) => {
            "rows are archived as the database has them, whatever its encoding, and definitions in UTF-8, or as they are in SQL_ASCII"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    /// No option is explained that the command has.
    #[test]
    fn what_is_explained_is_unknown() {
        for (command, rest, words) in [
            ("dump", "-Fc", "one archive format"),
            ("dump", "--format=custom", "one archive format"),
            ("dump", "--inserts", "COPY"),
            ("dump", "--rows-per-insert=5", "COPY"),
            ("dump", "--clean", "restore --clean"),
            ("dump", "-C", "restore --create"),
            ("dump", "--if-exists", "restore --clean --if-exists"),
            ("restore", "-l", "pgstow list"),
            ("restore", "-f", "pgstow sql"),
            ("verify", "-d", "--against"),
            ("backup", "-n", "dump.schema"),
            ("dump", "-S", "--disable-triggers"),
            ("dump", "--extra-float-digits", "nothing of them"),
            ("list", "-d", "no database"),
        ] {
            let error = Args::try_parse_from(["pgstow", command, rest]).unwrap_err();
            let error = explained(&error, command).unwrap();
            assert!(error.hint().unwrap().contains(words), "{error}");
        }
        let error = Args::try_parse_from(["pgstow", "dump", "--frob"]).unwrap_err();
        assert!(explained(&error, "dump").is_none());
    }
}
