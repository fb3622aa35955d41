//! The initial order: by section, sort of object, schema and name. Nothing in it depends on OIDs
//! as long as names tell objects apart.

use super::node::Section;
use crate::model::{Header, Oid};

/// What nodes are sorted by, most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'a> {
    pub section: Section,
    /// Sort of object.
    pub priority: u8,
    /// Objects in a schema come before those without.
    pub schemaless: bool,
    pub schema: &'a str,
    pub name: &'a str,
    /// What is made by itself comes before what belongs to something of the same name.
    pub rank: u8,
    /// The table that it hangs on.
    pub table: (&'a str, &'a str),
    /// Column number, position.
    pub number: i64,
    /// Argument types of functions.
    pub arguments: &'a [(String, String)],
    pub extra: &'a str,
    /// Only so that two objects that nothing tells apart still have an order.
    pub oid: Oid,
}

impl Default for Key<'_> {
    fn default() -> Self {
        Self {
            section: Section::PreData,
            priority: 0,
            schemaless: true,
            schema: "",
            name: "",
            rank: 0,
            table: ("", ""),
            number: 0,
            arguments: &[],
            extra: "",
            oid: 0,
        }
    }
}

impl<'a> Key<'a> {
    /// The key of an object that is made before the data.
    pub fn pre(priority: u8, header: &'a Header) -> Self {
        Self {
            priority,
            schemaless: header.schema.is_none(),
            schema: header.schema.as_deref().unwrap_or_default(),
            name: &header.name,
            oid: header.address.oid,
            ..Self::default()
        }
    }

    /// The key of an object that is made after the data.
    pub fn post(priority: u8, header: &'a Header) -> Self {
        Self {
            section: Section::PostData,
            ..Self::pre(priority, header)
        }
    }
}
