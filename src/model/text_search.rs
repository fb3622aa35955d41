//! Text search: dictionaries and configurations.

use super::Header;

/// A text search dictionary.
#[derive(Clone, Debug)]
pub struct TextSearchDictionary {
    /// Name, owner, comment.
    pub header: Header,
    /// Its template: schema and name.
    pub template: (String, String),
    /// Its options as the catalog has them, which is SQL.
    pub options: Option<String>,
}

/// A text search configuration.
#[derive(Clone, Debug)]
pub struct TextSearchConfiguration {
    /// Name, owner, comment.
    pub header: Header,
    /// Its parser: schema and name.
    pub parser: (String, String),
    /// Sorts of token, in the parser's order, and the dictionaries for each as SQL names.
    pub mappings: Vec<(String, Vec<String>)>,
}

/// A text search parser. Functions are SQL names.
#[derive(Clone, Debug)]
pub struct TextSearchParser {
    /// Name and comment. A parser has no owner.
    pub header: Header,
    /// Options and their functions, in the order in which they are written.
    pub functions: Vec<(&'static str, String)>,
}

/// A text search template. Functions are SQL names.
#[derive(Clone, Debug)]
pub struct TextSearchTemplate {
    /// Name and comment. A template has no owner.
    pub header: Header,
    /// `INIT`
    pub init: Option<String>,
    /// `LEXIZE`
    pub lexize: String,
}
