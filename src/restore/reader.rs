//! An archive as a restore reads it, and the plan that is made of it for a target.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::feed::Stream;
use super::journal::Standing;
use super::options::RestoreOptions;
use super::{extensions, globals, present};
use crate::archive::{Archive, Entry, EntryId, Manifest, StreamReader};
use crate::connect::Wire;
use crate::error::{Context, Kind, Result};
use crate::plan::{Choices, InPieces, Plan, RowOrder, adapt, build, load_via_root};
use crate::relay::Offer;
use crate::select::Globals;
use crate::sql::ServerVersion;

/// An archive that was opened: what it says of itself is read and checked.
pub enum ArchiveReader {
    /// One whose frames can be read in any order.
    File(Arc<Archive>),
    /// One whose frames come in theirs.
    Pipe(Box<StreamReader<Stream>>),
    /// None at all: another database, which is read while it is restored.
    Relay(Box<Offer>),
}

impl ArchiveReader {
    /// What the archive says of itself.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::File(archive) => archive.manifest(),
            Self::Pipe(reader) => reader.manifest(),
            Self::Relay(offer) => &offer.manifest,
        }
    }

    pub(super) fn globals(&self) -> Option<&[Entry]> {
        match self {
            Self::File(archive) => archive.globals(),
            Self::Pipe(reader) => reader.globals(),
            Self::Relay(offer) => offer.globals.as_deref(),
        }
    }

    /// The globals that are to be made.
    ///
    /// # Errors
    /// [`Kind::Refused`] when the archive does not have what is wanted of it.
    pub(super) fn wanted_globals(&self, options: &RestoreOptions) -> Result<Vec<Entry>> {
        globals::wanted(self.manifest(), self.globals(), options.globals)
    }

    /// What the table of contents lists, and the database itself if it is to be made. The reader has them no more then,
    /// where nobody else holds the archive: a database of very many objects has a large table of contents.
    pub(super) fn take_entries(&mut self, options: &RestoreOptions) -> Vec<Entry> {
        if options.globals == Globals::Alone {
            return Vec::new();
        }
        let listed = match self {
            Self::File(archive) => match Arc::get_mut(archive) {
                Some(archive) => archive.take_entries(),
                None => archive.entries().to_vec(),
            },
            Self::Pipe(reader) => reader.take_entries(),
            Self::Relay(offer) => std::mem::take(&mut offer.entries),
        };
        self.with_options(listed, options)
    }

    /// The entries as these options want them.
    pub(super) fn with_options(
        &self,
        mut entries: Vec<Entry>,
        options: &RestoreOptions,
    ) -> Vec<Entry> {
        if options.create {
            entries.extend_from_slice(&self.manifest().database_entries);
        }
        if options.extension_versions {
            entries.iter_mut().for_each(Entry::pin_version);
        }
        if options.load_via_partition_root {
            load_via_root(&mut entries);
        }
        entries
    }

    /// What a restore with these options would do.
    ///
    /// # Errors
    /// As [`build`].
    pub fn plan(mut self, options: &RestoreOptions) -> Result<Plan> {
        let mut entries = self.take_entries(options);
        let known = Known {
            version: options.target_version,
            ..Known::default()
        };
        let globals = self.wanted_globals(options)?;
        let mut plan = self.plan_of(&mut entries, options, &known)?;
        plan.globals = globals.iter().map(Entry::describe).collect();
        Ok(plan)
    }

    /// Gives the entries the form that the target's version needs, and makes a plan of them.
    pub(super) fn plan_of(
        &self,
        entries: &mut [Entry],
        options: &RestoreOptions,
        known: &Known,
    ) -> Result<Plan> {
        let choices = Choices {
            target: known.version,
            present: known.present.clone(),
            unavailable: known.unavailable.clone(),
            row_order: match self {
                Self::File(_) => RowOrder::Free,
                Self::Pipe(_) | Self::Relay(_) => RowOrder::AsTheyCome,
            },
            in_pieces: known.in_pieces.unwrap_or(options.choices().in_pieces),
            ..options.choices()
        };
        if let Some(version) = known.version {
            adapt(entries, version);
        }
        let entries = &*entries;
        match self {
            Self::File(archive) => build(
                entries,
                |id| archive.table(id).map(|table| table.raw_bytes),
                &choices,
            ),
            Self::Pipe(_) => build(entries, |_| None, &choices),
            Self::Relay(offer) => {
                let planned = build(entries, |id| offer.bytes.get(&id).copied(), &choices);
                planned.map_err(|error| match error.kind() {
                    Kind::Failed => error.with_hint("names are those of the source"),
                    _ => error,
                })
            }
        }
    }
}

impl ArchiveReader {
    /// Asks the target which of what would be pulled in it has, and makes a plan without that.
    pub(super) async fn plan_without_present(
        &self,
        wire: &mut Wire,
        entries: &mut [Entry],
        options: &RestoreOptions,
        known: &mut Known,
        (plan, standing): (Plan, &Standing),
    ) -> Result<Plan> {
        // What an earlier run has made is no reason not to go on with it, and the same way.
        if let Some(recorded) = standing.resumed() {
            known.present.clone_from(&recorded.present);
            known.in_pieces = Some(recorded.in_pieces());
            return self.plan_of(entries, options, known);
        }
        if plan.pulled.is_empty() && plan.ends.is_empty() {
            return Ok(plan);
        }
        // Names in signatures are written as under an empty path.
        wire.execute("SELECT pg_catalog.set_config('search_path', '', false)")
            .await
            .context_with(|| "ask what the target has already")?;
        let pulled = plan.pulled.iter().map(|pulled| pulled.entry);
        let asked = pulled
            .chain(plan.ends.iter().copied())
            .filter_map(|id| entries.get((id as usize).checked_sub(1)?));
        known.present = present::ask(wire, asked).await?;
        self.plan_of(entries, options, known)
    }
}

/// What is known of the target.
#[derive(Clone, Default)]
pub(super) struct Known {
    version: Option<ServerVersion>,
    /// What need not be pulled in.
    pub(super) present: BTreeSet<EntryId>,
    /// Extensions that its server does not have.
    unavailable: BTreeSet<EntryId>,
    /// What an earlier run makes in pieces, when this one goes on with it.
    in_pieces: Option<InPieces>,
}

impl Known {
    pub(super) async fn ask(wire: &mut Wire, entries: &mut [Entry]) -> Result<Self> {
        Ok(Self {
            version: Some(wire.server_version()),
            present: BTreeSet::new(),
            unavailable: extensions::unavailable(wire, entries).await?,
            in_pieces: None,
        })
    }
}
