//! What the user wants of a database.

use crate::error::Result;
use crate::select::{Action, Content, Rule, Subject};

/// Selection by pattern and by section of work, as pg_dump's options of the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// `-e`: only extensions that match one of these patterns, and nothing else that lives in no
    /// schema.
    pub extensions: Vec<String>,
    /// `--exclude-extension`
    pub exclude_extensions: Vec<String>,
    /// `-n`: only schemas that match one of these patterns.
    pub schemas: Vec<String>,
    /// `-N`
    pub exclude_schemas: Vec<String>,
    /// `-t`: only relations that match one of these patterns.
    pub tables: Vec<String>,
    /// `--table-and-children`: like `tables`, with partitions and all that inherits from them.
    pub tables_and_children: Vec<String>,
    /// `-T`
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-and-children`
    pub exclude_tables_and_children: Vec<String>,
    /// `--exclude-table-data`: no rows of relations that match.
    pub exclude_table_data: Vec<String>,
    /// `--exclude-table-data-and-children`
    pub exclude_table_data_and_children: Vec<String>,
    /// `--include-foreign-data`: rows of foreign tables too, of servers that match. Each pattern
    /// must match one.
    pub foreign_data: Vec<String>,
    /// `-s`, `-a` or both.
    pub content: Content,
    /// Large objects: by default with everything, not with a selection.
    pub large_objects: Option<bool>,
    /// `--sequence-data`: values of sequences also where no rows are wanted.
    pub sequence_data: bool,
    /// `--no-unlogged-table-data`
    pub no_unlogged_table_data: bool,
    /// `--load-via-partition-root`: rows of partitions go into the root of their tree, whose
    /// bounds in the target say in which partition they belong.
    pub load_via_partition_root: bool,
    /// `--strict-names`: every pattern must match something.
    pub strict_names: bool,
}

impl Selection {
    /// Adds the rules of a filter file; `source` is where they are from, for messages.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::error::Kind::Usage) for a rule that has no place in a dump, such as
    /// one of an index, with its line.
    pub fn add(&mut self, rules: Vec<Rule>, source: &str) -> Result<()> {
        for rule in rules {
            let patterns = match (rule.action, rule.subject) {
                (Action::Include, Subject::Extension) => &mut self.extensions,
                (Action::Include, Subject::ForeignData) => &mut self.foreign_data,
                (Action::Include, Subject::Schema) => &mut self.schemas,
                (Action::Include, Subject::Table) => &mut self.tables,
                (Action::Include, Subject::TableAndChildren) => &mut self.tables_and_children,
                (Action::Exclude, Subject::Extension) => &mut self.exclude_extensions,
                (Action::Exclude, Subject::Schema) => &mut self.exclude_schemas,
                (Action::Exclude, Subject::Table) => &mut self.exclude_tables,
                (Action::Exclude, Subject::TableAndChildren) => {
                    &mut self.exclude_tables_and_children
                }
                (Action::Exclude, Subject::TableData) => &mut self.exclude_table_data,
                (Action::Exclude, Subject::TableDataAndChildren) => {
                    &mut self.exclude_table_data_and_children
                }
                _ => return Err(rule.not_allowed(source)),
            };
            patterns.push(rule.pattern);
        }
        Ok(())
    }
}
