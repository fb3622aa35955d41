//! Operators.

use super::Header;

/// An operator that has a function; one that was only named as a partner has no statement.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Name, owner, comment.
    pub header: Header,
    /// Left operand's type as SQL; none for a prefix operator.
    pub left: Option<String>,
    /// Right operand's type as SQL; none for a postfix operator, which only 13 has.
    pub right: Option<String>,
    /// `(left, right)` as SQL, `NONE` for the one that is missing: tells operators of one name
    /// apart.
    pub operands: String,
    /// Its function as SQL name.
    pub function: String,
    /// The commutator: schema and name.
    pub commutator: Option<(String, String)>,
    /// Whether that has no function, and is there only because it was named.
    pub commutator_is_shell: bool,
    /// The negator: schema and name.
    pub negator: Option<(String, String)>,
    /// Whether that has no function, and is there only because it was named.
    pub negator_is_shell: bool,
    /// Selectivity of a restriction, as SQL name.
    pub restrict: Option<String>,
    /// Selectivity of a join, as SQL name.
    pub join: Option<String>,
    /// `MERGES`
    pub merges: bool,
    /// `HASHES`
    pub hashes: bool,
}
