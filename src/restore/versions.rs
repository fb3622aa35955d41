//! A target of another version than the source: what is told, and what is refused.

use std::collections::BTreeMap;

use super::options::{OnError, RestoreOptions};
use super::outcome::Outcome;
use super::shared::Shared;
use crate::archive::Entry;
use crate::connect::Wire;
use crate::error::{Error, Kind, Result};
use crate::sql::ServerVersion;

/// Most names that are told with one note.
const TOLD: usize = 5;

/// Says what is lost, each note once with those that it is about.
pub(super) fn tell(shared: &Shared, globals: &[Entry], target: ServerVersion) {
    let mut about: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let globals = globals
        .iter()
        .filter_map(|entry| Some((&entry.form_for(target)?.notes, &entry.name)));
    let adapted = shared.plan.adapted.iter();
    for (notes, name) in globals.chain(adapted.map(|adapted| (&adapted.notes, &adapted.name))) {
        for note in notes {
            about.entry(note).or_default().push(name);
        }
    }
    for (note, names) in about {
        let told = names.iter().take(TOLD).copied().collect::<Vec<_>>();
        let more = match names.len() - told.len() {
            0 => String::new(),
            more => format!(" and {more} others"),
        };
        shared.warn(format!("adapted: {note}: {}{more}", told.join(", ")));
    }
}

/// Refuses a restore of what the target's version does not know, unless that may be left out.
pub(super) fn judge(
    shared: &Shared,
    options: &RestoreOptions,
    wire: &Wire,
    outcome: &mut Outcome,
) -> Result<()> {
    let impossible = &shared.plan.impossible;
    if impossible.is_empty() {
        return Ok(());
    }
    for entry in impossible {
        shared.warn(format!("impossible: {}: {}", entry.name, entry.reason));
    }
    let version = wire.server_version();
    let count = impossible.len();
    if options.skip_impossible {
        return Ok(());
    }
    if options.on_error == OnError::Continue {
        outcome.left_undone(impossible);
        return Ok(());
    }
    let (what, hint) = match count {
        1 => (
            String::from("an object"),
            "--skip-impossible leaves it out, with all that needs it; it is named above",
        ),
        _ => (
            format!("{count} objects"),
            "--skip-impossible leaves them out, with all that needs them; they are named above",
        ),
    };
    Err(Error::new(
        Kind::Refused,
        format!("{what} cannot be made on the target, PostgreSQL {version}; nothing was changed"),
    )
    .with_hint(hint))
}
