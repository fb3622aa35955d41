//! SECURITY LABEL.

use crate::model::{Components, Header};
use crate::sql::{ident, literal};

/// `SECURITY LABEL FOR provider ON object IS 'label'`.
pub(super) fn on(object: &str, provider: &str, label: &str) -> String {
    format!(
        "SECURITY LABEL FOR {} ON {object} IS {}",
        ident(provider),
        literal(label)
    )
}

/// The labels of an object and its parts, if they are wanted; `part` gives `COLUMN s.t.c` for a
/// part's number.
pub(super) fn of(
    header: &Header,
    object: &str,
    part: impl Fn(i32) -> Option<String>,
) -> Vec<String> {
    if !header.wanted.has(Components::LABEL) {
        return Vec::new();
    }
    header
        .labels
        .iter()
        .filter_map(|(number, provider, label)| match number {
            0 => Some(on(object, provider, label)),
            number => Some(on(&part(*number)?, provider, label)),
        })
        .collect()
}
