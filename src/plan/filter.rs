//! Which entries of an archive are wanted, by name.

use super::use_list::UseList;
use crate::error::Result;
use crate::select::{Action, Rule, Subject};
use serde::Serialize;

/// What becomes of objects that selected ones need and that are not selected themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Needs {
    /// They are restored too, definitions only, unless the target has them.
    #[default]
    PulledIn,
    /// The target must have them: `--no-dependencies`.
    LeftOut,
}

/// Selection among an archive's entries. Patterns are as in `psql`: `*`, `?`, double quotes,
/// `schema.name`; letters outside double quotes fold to lower case. Default: everything.
///
/// With any of `tables`, `tables_and_children`, `indexes`, `functions` and `triggers`, only what one of these names is
/// selected; `schemas` narrows it further, the exclusions always count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EntryFilter {
    /// `-n`: only entries in schemas that match one of these.
    pub schemas: Vec<String>,
    /// `-N`: no entries in schemas that match.
    pub exclude_schemas: Vec<String>,
    /// `-t`: relations that match one of these, with what hangs on them.
    pub tables: Vec<String>,
    /// `--table-and-children`: as `tables`, with partitions and all that inherits.
    pub tables_and_children: Vec<String>,
    /// `-T`: no relations that match.
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-and-children`: nor their partitions and what inherits.
    pub exclude_tables_and_children: Vec<String>,
    /// `--exclude-table-data`: no rows of relations that match.
    pub exclude_table_data: Vec<String>,
    /// `--exclude-table-data-and-children`: nor those of their partitions and what inherits.
    pub exclude_table_data_and_children: Vec<String>,
    /// `--extension`: of extensions, only those that match.
    pub extensions: Vec<String>,
    /// `--exclude-extension`: no extensions that match.
    pub exclude_extensions: Vec<String>,
    /// `-I`: indexes that match, constraints that stand on one included.
    pub indexes: Vec<String>,
    /// `-P`: functions, procedures and aggregates that match; with argument types in parentheses
    /// only that one: `f(integer, text)`.
    pub functions: Vec<String>,
    /// `--trigger`: triggers that match: `name`, `table.name` or `schema.table.name`.
    pub triggers: Vec<String>,
    /// `-L`: only these entries, and definitions in this order as far as they allow it.
    pub use_list: Option<UseList>,
    /// What selected objects need.
    pub needs: Needs,
    /// `--strict-names`: every pattern must match something.
    pub strict_names: bool,
}

impl EntryFilter {
    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        !self.names_objects()
            && self.schemas.is_empty()
            && self.exclude_schemas.is_empty()
            && self.exclude_tables.is_empty()
            && self.exclude_tables_and_children.is_empty()
            && self.exclude_table_data.is_empty()
            && self.exclude_table_data_and_children.is_empty()
            && self.extensions.is_empty()
            && self.exclude_extensions.is_empty()
            && self.use_list.is_none()
    }

    /// Whether single objects are named, so that everything else is left out.
    pub(super) fn names_objects(&self) -> bool {
        let named = [
            &self.tables,
            &self.tables_and_children,
            &self.indexes,
            &self.functions,
            &self.triggers,
        ];
        named.iter().any(|patterns| !patterns.is_empty())
    }

    /// Adds the rules of a filter file. `source` is what messages call it.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) for a rule that makes no sense for an archive.
    pub fn add(&mut self, rules: Vec<Rule>, source: &str) -> Result<()> {
        for rule in rules {
            let patterns = match (rule.action, rule.subject) {
                (Action::Include, Subject::Schema) => &mut self.schemas,
                (Action::Exclude, Subject::Schema) => &mut self.exclude_schemas,
                (Action::Include, Subject::Table) => &mut self.tables,
                (Action::Exclude, Subject::Table) => &mut self.exclude_tables,
                (Action::Include, Subject::TableAndChildren) => &mut self.tables_and_children,
                (Action::Exclude, Subject::TableAndChildren) => {
                    &mut self.exclude_tables_and_children
                }
                (Action::Exclude, Subject::TableData) => &mut self.exclude_table_data,
                (Action::Exclude, Subject::TableDataAndChildren) => {
                    &mut self.exclude_table_data_and_children
                }
                (Action::Include, Subject::Extension) => &mut self.extensions,
                (Action::Exclude, Subject::Extension) => &mut self.exclude_extensions,
                (Action::Include, Subject::Index) => &mut self.indexes,
                (Action::Include, Subject::Function) => &mut self.functions,
                (Action::Include, Subject::Trigger) => &mut self.triggers,
                _ => return Err(rule.not_allowed(source)),
            };
            patterns.push(rule.pattern);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn rules_of_a_file_become_patterns() {
        let text = "include table a.b # with a comment\nexclude schema \"S\"\n\
                    include function f(integer, text)\ninclude trigger t\ninclude index i\n\
                    exclude table_data_and_children log\ninclude extension hstore\n";
        let mut filter = EntryFilter::default();
        filter
            .add(Rule::parse_all(text, "x").unwrap(), "x")
            .unwrap();
        let expected = EntryFilter {
            tables: vec!["a.b".to_owned()],
            exclude_schemas: vec!["\"S\"".to_owned()],
            functions: vec!["f(integer, text)".to_owned()],
            triggers: vec!["t".to_owned()],
            indexes: vec!["i".to_owned()],
            exclude_table_data_and_children: vec!["log".to_owned()],
            extensions: vec!["hstore".to_owned()],
            ..EntryFilter::default()
        };
        assert_eq!(filter, expected);
        for text in [
            "exclude index i",
            "include database d",
            "include foreign_data s",
        ] {
            let rules = Rule::parse_all(text, "x").unwrap();
            let error = EntryFilter::default().add(rules, "x").unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{text}");
            assert!(error.message().contains("line 1"), "{error}");
        }
    }
}
