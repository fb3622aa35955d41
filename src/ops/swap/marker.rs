//! What the comment of a database beside another one says, for people and for the next run.

use serde::{Deserialize, Serialize};

use super::name;
use crate::archive::{ArchiveId, Timestamp};

/// What the name of a shadow has behind that of the database which it is to replace.
pub(super) const SHADOW: &str = "shadow";

/// How far a shadow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It is being filled.
    Filling,
    /// Everything was restored into it.
    Filled,
    /// It is no shadow: the database that was replaced.
    Kept,
}

/// What a database beside another one is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The database that it is to replace, or was.
    pub(super) of: String,
    pub(super) state: State,
    /// The archive that is restored.
    pub(super) archive: ArchiveId,
    /// A digest of the options that decide what is restored and how.
    pub(super) options: String,
    /// When it was made, or replaced.
    pub(super) at: Timestamp,
}

/// How every such comment begins.
const BEGINNING: &str = "pgstow restore --swap";

impl Marker {
    /// The comment.
    pub(super) fn comment(&self) -> String {
        let words = match self.state {
            State::Filling => "a new database that is being filled; the next run removes it",
            State::Filled => "a new database that waits to take the place of the old one",
            State::Kept => "the database that was replaced, kept until you drop it",
        };
        // Plain values always serialize.
        let fields = serde_json::to_string(self).unwrap_or_default();
        format!("{BEGINNING}: {words}: {fields}")
    }

    /// Whether a database of this name is still what the marker says. One that was given another name
    /// since is no shadow any more but somebody's database, whatever its comment says.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match self.state {
            State::Filling | State::Filled => name::is_beside(name, &self.of, SHADOW, self.at),
            State::Kept => name != self.of,
        }
    }

    /// Reads a comment; none when it is not such a one.
    pub(super) fn parse(comment: &str) -> Option<Self> {
        let rest = comment.strip_prefix(BEGINNING)?;
        let fields = rest.get(rest.find('{')?..)?;
        serde_json::from_str(fields).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_read_back_whatever_the_name() {
        for of in ["shop", "a {\"b\"} 'c'", "日本"] {
            for state in [State::Filling, State::Filled, State::Kept] {
                let marker = Marker {
                    of: of.to_owned(),
                    state,
                    archive: ArchiveId([7; 16]),
                    options: "0011".to_owned(),
                    at: Timestamp(1_700_000_000),
                };
                assert_eq!(Marker::parse(&marker.comment()), Some(marker));
            }
        }
        for other in [
            "",
            "shop",
            "pgstow restore --swap",
            "pgstow restore --swap: {}",
        ] {
            assert_eq!(Marker::parse(other), None);
        }
    }

    #[test]
    fn a_shadow_that_got_another_name_is_none() {
        let at = Timestamp(1_700_000_000);
        for state in [State::Filling, State::Filled] {
            let marker = Marker {
                of: "shop".to_owned(),
                state,
                archive: ArchiveId([7; 16]),
                options: String::new(),
                at,
            };
            let shadow = name::beside("shop", SHADOW, at, &std::collections::BTreeSet::new());
            assert!(marker.is_of(&shadow));
            for name in ["shop", "shop_old", "shop_new"] {
                assert!(!marker.is_of(name), "{name}");
            }
        }
    }
}
