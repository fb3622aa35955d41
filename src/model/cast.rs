//! Casts.

use super::Header;

/// A cast from one type to another.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Comment. A cast has neither schema nor owner; its name is `(source AS target)`, as SQL.
    pub header: Header,
    /// How values are converted.
    pub method: CastMethod,
    /// Where it is applied unasked.
    pub context: CastContext,
}

/// `pg_cast.castmethod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CastMethod {
    /// By a function, with its argument types, as SQL.
    Function(String),
    /// Through the types' texts.
    InOut,
    /// Not at all: the bytes are the same.
    Binary,
}

/// `pg_cast.castcontext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastContext {
    /// `e`
    Explicit,
    /// `a`
    Assignment,
    /// `i`
    Implicit,
}
