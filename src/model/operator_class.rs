//! Operator classes and operator families.

use super::Header;

/// An operator family. Its name and its access method together tell it apart.
#[derive(Clone, Debug)]
pub struct OperatorFamily {
    /// Name, owner, comment.
    pub header: Header,
    /// Name of its access method.
    pub access_method: String,
    /// Whether the family itself is there in every target, with the server or with an extension:
    /// then only its members are the user's.
    pub built_in: bool,
    /// Members that are in no class of it, by sort and number.
    pub members: Vec<FamilyMember>,
}

/// An operator class. Its name and its access method together tell it apart.
#[derive(Clone, Debug)]
pub struct OperatorClass {
    /// Name, owner, comment.
    pub header: Header,
    /// Name of its access method.
    pub access_method: String,
    /// Its family: schema and name.
    pub family: (String, String),
    /// Whether it is the one that is taken where none is named.
    pub is_default: bool,
    /// The type that it is for, as SQL.
    pub input: String,
    /// `STORAGE`: the type that is stored, as SQL, where it is another one.
    pub storage: Option<String>,
    /// Its members, by sort and number.
    pub members: Vec<FamilyMember>,
}

/// A row of `pg_amop` or `pg_amproc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FamilyMember {
    /// `OPERATOR`
    Operator {
        /// Strategy number.
        strategy: i16,
        /// The operator with its operands' types, as SQL.
        operator: String,
        /// Types of its operands, as SQL.
        types: (String, String),
        /// `FOR ORDER BY`: schema and name of the family that sorts.
        order_by: Option<(String, String)>,
    },
    /// `FUNCTION`
    Function {
        /// Support number.
        number: i16,
        /// The types that it supports, as SQL.
        types: (String, String),
        /// The function with its arguments' types, as SQL.
        function: String,
    },
}
