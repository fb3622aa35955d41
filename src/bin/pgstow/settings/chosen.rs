//! What of a database or an archive is meant.

use std::fmt::Display;
use std::io::Read as _;

use pgstow::EntryFilter;
use pgstow::archive::{Section, Sections};
use pgstow::error::{Error, Kind, Result, system_reason};
use pgstow::ops::{Needs, UseList};
use pgstow::select::{Content, Globals, LeaveOut, Rule};
use pgstow::sql::into_text;

use super::together;
use crate::args;

pub(super) fn content(parts: &args::Parts) -> Result<Content> {
    let options = [
        ("-s/--schema-only", parts.schema_only),
        ("-a/--data-only", parts.data_only),
        ("--no-data", parts.no_data),
        ("--no-schema", parts.no_schema),
        ("--statistics-only", parts.statistics_only),
    ];
    for (one, other) in [(0, 1), (1, 2), (0, 3), (0, 4), (1, 4)] {
        if options[one].1 && options[other].1 {
            return Err(together(options[one].0, options[other].0));
        }
    }
    if parts.statistics_only {
        return Ok(Content::StatisticsOnly);
    }
    let schema = !parts.data_only && !parts.no_schema;
    let data = !parts.schema_only && !parts.no_data;
    Ok(match (schema, data) {
        (true, false) => Content::SchemaOnly,
        (false, true) => Content::DataOnly,
        (true, true) => Content::All,
        (false, false) if parts.statistics => Content::StatisticsOnly,
        (false, false) => return Err(together("--no-data", "--no-schema")),
    })
}

/// Whether planner statistics are wanted: said outright, or `usual` with schema and data.
pub(super) fn statistics(parts: &args::Parts, usual: bool) -> Result<bool> {
    match (parts.statistics, parts.no_statistics, parts.statistics_only) {
        (true, true, _) => Err(together("--statistics", "--no-statistics")),
        (_, true, true) => Err(together("--no-statistics", "--statistics-only")),
        (true, _, _) | (_, _, true) => Ok(true),
        (_, true, _) => Ok(false),
        (false, false, false) => Ok(usual && matches!(content(parts), Ok(Content::All))),
    }
}

pub(super) fn sections(parts: &args::Parts) -> Result<Sections> {
    if parts.section.is_empty() {
        return Ok(Sections::ALL);
    }
    parts
        .section
        .iter()
        .try_fold(Sections::NONE, |sections, name| {
            let section = match name.as_str() {
                "pre-data" => Section::PreData,
                "data" => Section::Data,
                "post-data" => Section::PostData,
                _ => {
                    return Err(
                        Error::new(Kind::Usage, format!("unknown section \"{name}\""))
                            .with_hint("sections are pre-data, data and post-data"),
                    );
                }
            };
            Ok(sections.with(section))
        })
}

pub(super) fn leave_out(left_out: &args::LeftOut) -> LeaveOut {
    LeaveOut {
        owners: left_out.no_owner,
        privileges: left_out.no_privileges,
        comments: left_out.no_comments,
        security_labels: left_out.no_security_labels,
        policies: left_out.no_policies,
        publications: left_out.no_publications,
        subscriptions: left_out.no_subscriptions,
        tablespaces: left_out.no_tablespaces,
        table_access_methods: left_out.no_table_access_method,
        ..LeaveOut::default()
    }
}

pub(super) fn filter(names: args::Names, pick: args::Pick, archive: &str) -> Result<EntryFilter> {
    let mut filter = EntryFilter {
        schemas: names.schema,
        exclude_schemas: names.excluded.exclude_schema,
        tables: names.table,
        tables_and_children: names.table_and_children,
        exclude_tables: names.excluded.exclude_table,
        exclude_tables_and_children: names.exclude_table_and_children,
        exclude_table_data: names.excluded.exclude_table_data,
        exclude_table_data_and_children: names.exclude_table_data_and_children,
        extensions: pick.extension,
        exclude_extensions: names.exclude_extension,
        indexes: pick.index,
        functions: pick.function,
        triggers: pick.trigger,
        use_list: None,
        needs: if pick.no_dependencies {
            Needs::LeftOut
        } else {
            Needs::PulledIn
        },
        strict_names: names.strict_names,
    };
    let lists = names.filter.iter().chain(&pick.use_list);
    let from_stdin = lists.filter(|file| *file == "-").count();
    if from_stdin + usize::from(archive == "-") > 1 {
        return Err(Error::new(
            Kind::Usage,
            "only one of the archive, --filter and -L/--use-list can come from standard input",
        ));
    }
    for file in &names.filter {
        let (rules, source) = rules(file)?;
        filter.add(rules, &source)?;
    }
    if let Some(file) = &pick.use_list {
        let (text, _) = text_of("list", file)?;
        let name = if file == "-" { "standard input" } else { file };
        filter.use_list = Some(UseList::parse(name, &text)?);
    }
    Ok(filter)
}

/// Reads a file of text, and says how it is called in messages; `what` is what it is for.
pub(super) fn text_of(what: &str, file: &str) -> Result<(String, String)> {
    let (source, bytes) = if file == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes);
        ("standard input".to_owned(), read.map(|_| bytes))
    } else {
        (format!("file \"{file}\""), std::fs::read(file))
    };
    let failed = |kind, why: &dyn Display| Error::new(kind, format!("{what} {source}: {why}"));
    let bytes = bytes.map_err(|error| failed(Kind::Storage, &system_reason(&error)))?;
    // Names in a database in SQL_ASCII may have any bytes.
    Ok((into_text(bytes), source))
}

/// Reads a filter file, and says how it is called in messages.
pub(super) fn rules(file: &str) -> Result<(Vec<Rule>, String)> {
    let (text, source) = text_of("filter", file)?;
    Ok((Rule::parse_all(&text, &source)?, source))
}

pub(super) fn which_globals(whole: &args::WholeServer) -> Result<Globals> {
    match (whole.globals, whole.globals_only) {
        (true, true) => Err(together("--globals", "-g/--globals-only")),
        (true, false) => Ok(Globals::With),
        (false, true) => Ok(Globals::Alone),
        (false, false) => Ok(Globals::No),
    }
}

/// Refuses patterns of databases where one alone is meant.
pub(super) fn refuse_exclude_database(all: &args::AllDatabases) -> Result<()> {
    if all.exclude_database.is_empty() || all.all_databases {
        return Ok(());
    }
    Err(Error::new(
        Kind::Usage,
        "option --exclude-database requires option --all-databases",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names() {
        let parts = |names: &[&str]| args::Parts {
            section: names.iter().map(|&name| name.to_owned()).collect(),
            ..args::Parts::default()
        };
        assert_eq!(sections(&parts(&[])).unwrap(), Sections::ALL);
        assert_eq!(
            sections(&parts(&["data", "pre-data"])).unwrap(),
            Sections {
                post_data: false,
                ..Sections::ALL
            }
        );
        assert!(sections(&parts(&["middle"])).is_err());
    }
}
