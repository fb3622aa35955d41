//! What indexes, triggers, rules and the like have in common: they belong to a relation, live in
//! its schema and are wanted when it is.

use super::context::Fields;
use crate::error::{Error, Kind, Result};
use crate::model::{Address, Class, Components, EnabledState, Header, Oid, Relation, RelationKind};

/// OIDs of the relations of some kinds whose definition is wanted.
pub(crate) fn defined(relations: &[Relation], kind: impl Fn(RelationKind) -> bool) -> Vec<Oid> {
    relations
        .iter()
        .filter(|relation| {
            kind(relation.kind) && relation.header.wanted.has(Components::DEFINITION)
        })
        .map(|relation| relation.header.address.oid)
        .collect()
}

/// The header of a part of `relation`: wanted as far as the relation is.
pub(crate) fn header(relation: &Relation, class: Class, oid: Oid, name: String) -> Header {
    let mut header = Header::new(
        Address::new(class, oid),
        relation.header.schema.clone(),
        name,
    );
    for component in [
        Components::DEFINITION,
        Components::COMMENT,
        Components::LABEL,
    ] {
        if relation.header.wanted.has(component) {
            header.wanted = header.wanted.with(component);
        }
    }
    // Without its definition there is nothing to hang a comment on.
    if !header.wanted.has(Components::DEFINITION) {
        header.wanted = Components::NONE;
    }
    header
}

/// The next field as `tgenabled` or `ev_enabled`.
pub(crate) fn enabled(fields: &mut Fields<'_>) -> Result<EnabledState> {
    state(fields.next()?)
}

/// A state as its letter says: `tgenabled`, `ev_enabled`, `evtenabled`.
pub(crate) fn state(letter: &str) -> Result<EnabledState> {
    match letter {
        "O" => Ok(EnabledState::Origin),
        "D" => Ok(EnabledState::Disabled),
        "R" => Ok(EnabledState::Replica),
        "A" => Ok(EnabledState::Always),
        other => Err(Error::new(
            Kind::Failed,
            format!("enable state {other} is not known"),
        )),
    }
}
