//! Collations.

use super::Header;

/// A collation.
#[derive(Clone, Debug)]
pub struct Collation {
    /// Name, owner, comment.
    pub header: Header,
    /// Whose rules it follows.
    pub provider: CollationProvider,
    /// `DETERMINISTIC`
    pub deterministic: bool,
}

/// `pg_collation.collprovider`, with what each provider needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollationProvider {
    /// The operating system's library.
    Libc {
        /// `LC_COLLATE`
        collate: String,
        /// `LC_CTYPE`
        ctype: String,
    },
    /// ICU.
    Icu {
        /// The locale.
        locale: String,
        /// Rules added to the locale's (16+).
        rules: Option<String>,
    },
    /// The server itself (17+).
    Builtin {
        /// The locale.
        locale: String,
    },
}
