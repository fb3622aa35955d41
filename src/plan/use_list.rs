//! The list of entries that a person edited: what `-L` gives.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::key::{canonical, keys};
use crate::archive::{Entry, EntryId};
use crate::error::{Error, Kind, Result};

/// Keys of entries, one per line, as [`keys`] writes them; a `;` begins a comment, empty lines are
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UseList {
    name: String,
    /// Line numbers, from 1, and keys.
    lines: Vec<(usize, String)>,
}

impl UseList {
    /// Reads a list. `name` is what messages call it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a malformed line or one that is there twice, with its number.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut list = Self {
            name: name.to_owned(),
            lines: Vec::new(),
        };
        let mut first: HashMap<String, usize> = HashMap::new();
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let Some(key) = canonical(line).map_err(|error| error.context(list.at(number)))? else {
                continue;
            };
            if let Some(before) = first.insert(key.clone(), number) {
                let why = format!("{}: \"{key}\" is in line {before} already", list.at(number));
                return Err(Error::new(Kind::Usage, why));
            }
            list.lines.push((number, key));
        }
        Ok(list)
    }

    fn at(&self, number: usize) -> String {
        format!("{}:{number}", self.name)
    }

    /// The entries that are listed, in the order of the list.
    ///
    /// # Errors
    /// [`Kind::Usage`] for the first key that the archive does not have, with its line.
    pub(super) fn resolve(&self, entries: &[Entry]) -> Result<Vec<EntryId>> {
        let keys = keys(entries);
        let by_key: HashMap<&str, EntryId> = keys
            .iter()
            .zip(entries)
            .map(|(key, entry)| (key.as_str(), entry.id))
            .collect();
        let listed = self
            .lines
            .iter()
            .map(|(number, key)| {
                by_key.get(key.as_str()).copied().ok_or_else(|| {
                    let why = format!("{}: the archive has no \"{key}\"", self.at(*number));
                    Error::new(Kind::Usage, why).with_hint(
                        "lines are those of `pgstow list`; the first words of each are its key",
                    )
                })
            })
            .collect::<Result<Vec<_>>>()?;
        debug_assert_eq!(
            listed.iter().collect::<BTreeSet<_>>().len(),
            listed.len(),
            "keys tell entries apart"
        );
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;
    use crate::archive::Section;

    #[test]
    fn lines_become_entries_in_their_order() {
        let entries = [
            entry(1, "TABLE", "a", Section::PreData),
            entry(2, "TABLE", "B", Section::PreData),
        ];
        let text = "; a list\n\nTABLE public.\"B\" ; 2\r\n  TABLE public.a\n";
        let list = UseList::parse("x.list", text).unwrap();
        assert_eq!(list.resolve(&entries).unwrap(), [2, 1]);
    }

    #[test]
    fn errors_name_the_line() {
        let twice = "TABLE public.a\n\nTABLE public.\"a\"\n";
        let error = UseList::parse("x.list", twice).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(
            error.message(),
            "x.list:3: \"TABLE public.a\" is in line 1 already"
        );
        let error = UseList::parse("x.list", "TABLE \"a\n").unwrap_err();
        assert_eq!(error.message(), "x.list:1: a double quote is not closed");
        let list = UseList::parse("x.list", ";\nTABLE public.zz ; 7").unwrap();
        let error = list.resolve(&[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert_eq!(
            error.message(),
            "x.list:2: the archive has no \"TABLE public.zz\""
        );
    }
}
