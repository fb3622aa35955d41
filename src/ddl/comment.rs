//! COMMENT.

use crate::model::{Components, Header};
use crate::sql::literal;

/// `COMMENT ON object IS 'text'`; `object` is `TABLE s.t`, `CONSTRAINT c ON s.t`, ….
pub(super) fn on(object: &str, text: &str) -> String {
    format!("COMMENT ON {object} IS {}", literal(text))
}

/// The object's own comment, if it has one and it is wanted.
pub(super) fn of(header: &Header, object: &str) -> Vec<String> {
    if !header.wanted.has(Components::COMMENT) {
        return Vec::new();
    }
    header.comment.iter().map(|text| on(object, text)).collect()
}

/// The comments of the object's parts; `part` gives `COLUMN s.t.c` for a part's number.
pub(super) fn of_parts(header: &Header, part: impl Fn(i32) -> Option<String>) -> Vec<String> {
    if !header.wanted.has(Components::COMMENT) {
        return Vec::new();
    }
    header
        .part_comments
        .iter()
        .filter_map(|(number, text)| Some(on(&part(*number)?, text)))
        .collect()
}
