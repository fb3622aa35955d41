//! Procedural languages.

use super::Header;

/// A language that functions are written in.
#[derive(Clone, Debug)]
pub struct Language {
    /// Name, owner, privileges, comment.
    pub header: Header,
    /// `TRUSTED`: everybody may be allowed to use it.
    pub trusted: bool,
    /// The function that runs functions, as SQL name; none for the languages that the server has
    /// built in, which have no statement.
    pub handler: Option<String>,
    /// The function that runs `DO`, as SQL name.
    pub inline: Option<String>,
    /// The function that checks new functions, as SQL name.
    pub validator: Option<String>,
}
