//! Functions of the server's own that another major has under another name or with other types.

use super::target::Target;

/// Since 14 these take `anycompatiblearray` and `anycompatible` instead of `anyarray` and
/// `anyelement`: what was made over the old signature is not accepted any more.
const SINCE_14: [&str; 8] = [
    "array_append",
    "array_cat",
    "array_position",
    "array_positions",
    "array_prepend",
    "array_remove",
    "array_replace",
    "width_bucket",
];

/// What the target calls a function of the source's: 14 lost one of two names for the same.
pub(super) fn function<'a>(target: &Target, function: &'a str) -> &'a str {
    let name = function.strip_prefix("pg_catalog.").unwrap_or(function);
    if name == "numeric_fac" && target.at_least(14) {
        return "pg_catalog.factorial";
    }
    function
}

/// Says so, where an object of a source before 14 passes polymorphic `types` to one of those.
pub(super) fn over_renamed<'a>(
    target: &Target,
    function: &str,
    mut types: impl Iterator<Item = &'a str>,
) {
    let name = function.strip_prefix("pg_catalog.").unwrap_or(function);
    if target.source().at_least(14) || !SINCE_14.contains(&name) {
        return;
    }
    if types.any(|name| matches!(name, "anyarray" | "anyelement")) && target.at_least(14) {
        target.impossible(format!(
            "{name}() over anyarray or anyelement (since 14 it takes anycompatiblearray and anycompatible)"
        ));
    }
}
