//! Functions and procedures.

use super::{Header, Oid};

/// A function or procedure.
#[derive(Clone, Debug)]
pub struct Function {
    /// Name (without arguments), owner, privileges, comment.
    pub header: Header,
    /// What it is.
    pub kind: FunctionKind,
    /// Arguments as `pg_get_function_arguments` gives them.
    pub arguments: String,
    /// Arguments as `pg_get_function_identity_arguments` gives them.
    pub identity_arguments: String,
    /// Argument types as (schema, name), for a stable order among overloads.
    pub argument_types: Vec<(String, String)>,
    /// Types of arguments of every mode, and of the result.
    pub signature_types: Vec<Oid>,
    /// Result as `pg_get_function_result` gives it; none for procedures.
    pub result: Option<String>,
    /// Language name.
    pub language: String,
    /// Types with transforms, as SQL.
    pub transforms: Vec<String>,
    /// The same types' OIDs.
    pub transform_types: Vec<Oid>,
    /// Volatility.
    pub volatility: Volatility,
    /// `STRICT`
    pub strict: bool,
    /// `SECURITY DEFINER`
    pub security_definer: bool,
    /// `LEAKPROOF`
    pub leakproof: bool,
    /// Parallel safety.
    pub parallel: Parallel,
    /// `COST`, where it is not the default.
    pub cost: Option<String>,
    /// `ROWS`, where it is not the default.
    pub rows: Option<String>,
    /// Support function as SQL name.
    pub support: Option<String>,
    /// Whether it is the server's own and has been given to another role.
    pub given_away: bool,
    /// Whether the server makes it along with something else (a constructor of a range type), so that
    /// only owner, privileges and comment are its own.
    pub comes_along: bool,
    /// `SET`: name and value as stored in `proconfig`.
    pub settings: Vec<(String, String)>,
    /// The body.
    pub body: FunctionBody,
}

impl Function {
    /// Whether there is more of it than its signature that may need other objects: a body in
    /// standard SQL, defaults of arguments.
    pub fn has_inner_needs(&self) -> bool {
        matches!(self.body, FunctionBody::Sql(_)) || self.arguments != self.identity_arguments
    }
}

/// `pg_proc.prokind`, aggregates apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// `f`
    Function,
    /// `p`
    Procedure,
    /// `w`
    Window,
}

/// `pg_proc.provolatile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    /// `i`
    Immutable,
    /// `s`
    Stable,
    /// `v`
    Volatile,
}

/// `pg_proc.proparallel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parallel {
    /// `s`
    Safe,
    /// `r`
    Restricted,
    /// `u`
    Unsafe,
}

/// Where the code is.
#[derive(Clone, Debug)]
pub enum FunctionBody {
    /// Source text in the function's language.
    Source(String),
    /// Object file and link symbol.
    Library {
        /// `probin`
        file: String,
        /// `prosrc`
        symbol: String,
    },
    /// SQL-standard body as the server deparsed it (14+).
    Sql(String),
}
