//! What a journal tells of: the things that a restore does, under names that any run knows.

use std::collections::BTreeMap;

use crate::archive::EntryId;
use crate::plan::{Plan, Work};

/// One thing that a restore does, under a name that any run with the same archive and options
/// knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::restore) struct Unit {
    pub(super) entry: EntryId,
    pub(super) part: Part,
    /// Of a frame: its chunk. Of a step: which of those that do the same for the entry.
    chunk: u32,
    frame: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Everything that was to be dropped is dropped.
    Clean,
    /// A step is done.
    Statements,
    Privileges,
    Analyze,
    Vacuum,
    /// The object is made; its owner, comments and the like are perhaps not.
    Made,
    /// A frame is loaded.
    Frame,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Clean,
        Self::Statements,
        Self::Privileges,
        Self::Analyze,
        Self::Vacuum,
        Self::Made,
        Self::Frame,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Statements => "step",
            Self::Privileges => "privileges",
            Self::Analyze => "analyze",
            Self::Vacuum => "vacuum",
            Self::Made => "made",
            Self::Frame => "frame",
        }
    }
}

impl Unit {
    /// All drops of `--clean`.
    pub(in crate::restore) const CLEAN: Self = Self {
        entry: 0,
        part: Part::Clean,
        chunk: 0,
        frame: 0,
    };

    pub(in crate::restore) fn frame(entry: EntryId, chunk: u32, frame: u32) -> Self {
        Self {
            entry,
            part: Part::Frame,
            chunk,
            frame,
        }
    }

    /// That the object of this step is made.
    pub(in crate::restore) fn made(self) -> Self {
        Self {
            part: Part::Made,
            // Of which of the entry's steps.
            frame: self.part as u32,
            ..self
        }
    }

    /// The units of a plan's steps; what has frames is recorded frame by frame.
    pub(super) fn of_steps(plan: &Plan) -> Vec<Option<Self>> {
        let mut times: BTreeMap<(EntryId, Part), u32> = BTreeMap::new();
        let mut unit = |entry, work| {
            let part = match work {
                Work::Statements => Part::Statements,
                Work::Privileges => Part::Privileges,
                Work::Analyze(_) => Part::Analyze,
                Work::Vacuum => Part::Vacuum,
                Work::Rows | Work::LargeObjects | Work::Statistics | Work::Barrier(_) => {
                    return None;
                }
            };
            let times = times.entry((entry, part)).or_default();
            *times += 1;
            Some(Self {
                entry,
                part,
                chunk: *times - 1,
                frame: 0,
            })
        };
        let steps = plan.steps.iter();
        steps
            .map(|step| step.entry.and_then(|entry| unit(entry, step.work)))
            .collect()
    }

    pub(super) fn values(self) -> String {
        let Self {
            entry,
            part,
            chunk,
            frame,
        } = self;
        format!("({entry}, '{}', {chunk}, {frame})", part.name())
    }

    pub(super) fn of_row(row: &[Option<String>]) -> Option<Self> {
        let number = |at: usize| row.get(at)?.as_deref()?.parse().ok();
        let name = row.get(1)?.as_deref()?;
        Some(Self {
            entry: number(0)?,
            part: Part::ALL.into_iter().find(|part| part.name() == name)?,
            chunk: number(2)?,
            frame: number(3)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_they_are_written() {
        for part in Part::ALL {
            let unit = Unit {
                entry: 7,
                part,
                chunk: 3,
                frame: u32::MAX,
            };
            assert_eq!(
                unit.values(),
                format!("(7, '{}', 3, 4294967295)", part.name())
            );
            let row = ["7", part.name(), "3", "4294967295"].map(|text| Some(text.to_owned()));
            assert_eq!(Unit::of_row(&row), Some(unit));
        }
        let row = ["7", "other", "3", "0"].map(|text| Some(text.to_owned()));
        assert_eq!(Unit::of_row(&row), None);
    }
}
