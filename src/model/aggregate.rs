//! Aggregates.

use super::{Header, Parallel};

/// An aggregate function. Functions and types are SQL names.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Name (without arguments), owner, privileges, comment.
    pub header: Header,
    /// What its arguments are.
    pub kind: AggregateKind,
    /// Arguments as `pg_get_function_identity_arguments` gives them; `*` if it has none.
    pub arguments: String,
    /// The same as a plain list of types, as GRANT wants it.
    pub types: String,
    /// Argument types as (schema, name), for a stable order among overloads.
    pub argument_types: Vec<(String, String)>,
    /// How it aggregates.
    pub state: AggregateState,
    /// `COMBINEFUNC`
    pub combine: Option<String>,
    /// `SERIALFUNC`
    pub serialize: Option<String>,
    /// `DESERIALFUNC`
    pub deserialize: Option<String>,
    /// How it aggregates over moving frames: the inverse function and the rest.
    pub moving: Option<(String, AggregateState)>,
    /// `SORTOP`: schema and name.
    pub sort_operator: Option<(String, String)>,
    /// Parallel safety.
    pub parallel: Parallel,
}

/// The functions and the state of an aggregation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateState {
    /// `SFUNC`
    pub function: String,
    /// `STYPE`
    pub r#type: String,
    /// `SSPACE` in bytes, where set.
    pub space: Option<i32>,
    /// `INITCOND`
    pub initial: Option<String>,
    /// `FINALFUNC`
    pub finish: Option<String>,
    /// `FINALFUNC_EXTRA`
    pub finish_extra: bool,
    /// `FINALFUNC_MODIFY`
    pub finish_modify: Modify,
}

/// `pg_aggregate.aggkind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateKind {
    /// `n`
    Normal,
    /// `o`: with `WITHIN GROUP`.
    OrderedSet,
    /// `h`: the same, for hypothetical rows.
    Hypothetical,
}

/// What a final function does to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modify {
    /// `r`
    ReadOnly,
    /// `s`
    Shareable,
    /// `w`
    ReadWrite,
}
