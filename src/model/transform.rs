//! Transforms.

use super::{Header, Oid};

/// How values of a type go into a language and come out of it.
#[derive(Clone, Debug)]
pub struct Transform {
    /// Comment. A transform has neither schema nor owner; its name is `FOR type LANGUAGE language`,
    /// as SQL.
    pub header: Header,
    /// The type.
    pub type_oid: Oid,
    /// The language's name.
    pub language: String,
    /// `FROM SQL`: the function with its argument types, as SQL.
    pub from_sql: Option<String>,
    /// `TO SQL`: the function with its argument types, as SQL.
    pub to_sql: Option<String>,
}
