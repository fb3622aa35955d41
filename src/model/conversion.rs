//! Conversions between encodings.

use super::Header;

/// A conversion from one encoding to another.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Name, owner, comment.
    pub header: Header,
    /// Source encoding, as `pg_encoding_to_char` names it.
    pub from: String,
    /// Destination encoding, as `pg_encoding_to_char` names it.
    pub to: String,
    /// Its function as SQL name.
    pub function: String,
    /// Whether it is the one for its encodings where its schema is searched.
    pub is_default: bool,
}
