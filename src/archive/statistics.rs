//! Planner statistics, as the frames of `STATISTICS DATA` entries hold them: one JSON object a
//! line, one line a relation. Values are text, exactly as the source gave them; nothing in here is
//! SQL.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::CopyFormat;
use super::frame::rows_of;
use crate::error::{Error, Kind, Result};

/// The statistics of one relation and of its columns: one line of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationStatistics {
    /// `server_version_num` of the source.
    pub version: u32,
    /// The relation's schema.
    pub schema: String,
    /// The relation's name.
    pub relation: String,
    /// `pg_class`: `relpages`, `reltuples`, `relallvisible`, and `relallfrozen` where the source
    /// has it.
    pub values: BTreeMap<String, String>,
    /// What is known of its columns; one can be there twice, with and without children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnStatistics>,
}

/// The statistics of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// The column's name; none for a column of an index, whose names are the server's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The column's number in an index, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
    /// Whether rows of children are counted.
    pub inherited: bool,
    /// Values by their names in `pg_stats`; those that are null are left out.
    pub values: BTreeMap<String, String>,
}

/// What is known of a relation, by name, with the type that the server takes it as.
pub const RELATION_VALUES: [(&str, &str); 4] = [
    ("relpages", "integer"),
    ("reltuples", "real"),
    ("relallvisible", "integer"),
    ("relallfrozen", "integer"),
];

/// What is known of a column, by name, with the type that the server takes it as.
pub const COLUMN_VALUES: [(&str, &str); 13] = [
    ("null_frac", "real"),
    ("avg_width", "integer"),
    ("n_distinct", "real"),
    ("most_common_vals", "text"),
    ("most_common_freqs", "real[]"),
    ("histogram_bounds", "text"),
    ("correlation", "real"),
    ("most_common_elems", "text"),
    ("most_common_elem_freqs", "real[]"),
    ("elem_count_histogram", "real[]"),
    ("range_length_histogram", "text"),
    ("range_empty_frac", "real"),
    ("range_bounds_histogram", "text"),
];

impl RelationStatistics {
    /// The line, with its newline.
    ///
    /// # Errors
    /// Never for values that are text.
    pub fn line(&self) -> Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)
            .map_err(|error| Error::new(Kind::Failed, "render statistics").with_source(error))?;
        line.push(b'\n');
        Ok(line)
    }

    /// A value of the relation as a server from 18 on understands it: before 14, no rows and not
    /// known were the same.
    pub fn value(&self, name: &str) -> Option<&str> {
        let value = self.values.get(name).map(String::as_str);
        if name == "reltuples" && value == Some("0") && self.version < 140_000 {
            return Some("-1");
        }
        value
    }
}

/// The lines of a raw frame of statistics.
///
/// # Errors
/// [`Kind::Archive`] for a line that is none. What it holds is not told: it is made of rows.
pub fn statistics_of(raw: &[u8]) -> Result<Vec<RelationStatistics>> {
    rows_of(CopyFormat::Text, raw)
        .map(|line| {
            serde_json::from_slice(line?).map_err(|error| {
                Error::new(
                    Kind::Archive,
                    format!(
                        "the frame is damaged: a line is no statistics (at column {})",
                        error.column()
                    ),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_there_and_back() {
        let statistics = RelationStatistics {
            version: 130_023,
            schema: "s\n".to_owned(),
            relation: "t\"".to_owned(),
            values: [("reltuples", "0"), ("relpages", "0")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            columns: vec![
                ColumnStatistics {
                    name: Some("a\u{1f600}".to_owned()),
                    values: [("most_common_vals".to_owned(), "{\"a\\nb\",\n}".to_owned())].into(),
                    ..ColumnStatistics::default()
                },
                ColumnStatistics {
                    number: Some(2),
                    inherited: true,
                    ..ColumnStatistics::default()
                },
            ],
        };
        let line = statistics.line().unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(
            statistics_of(&line.repeat(2)).unwrap(),
            vec![statistics.clone(), statistics.clone()]
        );
        assert_eq!(statistics.value("reltuples"), Some("-1"));
        assert_eq!(statistics.value("relpages"), Some("0"));
        let newer = RelationStatistics {
            version: 140_000,
            ..statistics
        };
        assert_eq!(newer.value("reltuples"), Some("0"));
        assert_eq!(newer.value("relallfrozen"), None);
    }

    #[test]
    fn what_is_no_statistics_is_damage_without_its_content() {
        for raw in [&b"{}\n"[..], b"{\"secret\":1}\n", b"secret\n", b"{}"] {
            let error = statistics_of(raw).unwrap_err();
            assert_eq!(error.kind(), Kind::Archive);
            assert!(!error.message().contains("secret"), "{error}");
        }
    }
}
