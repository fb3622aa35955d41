//! Configuration settings and storage parameters as SQL.

use super::target::Target;
use crate::sql::{ServerVersion, ident, literal, unquote};

/// Settings that came after the oldest major, each with the major that brought it, as far as
/// they can be set for a function, a role or a database.
const NEW: &[(&str, u32)] = &[
    ("client_connection_check_interval", 14),
    ("compute_query_id", 14),
    ("createrole_self_grant", 16),
    ("debug_discard_caches", 14),
    ("debug_logical_replication_streaming", 16),
    ("debug_parallel_query", 16),
    ("default_toast_compression", 14),
    ("enable_async_append", 14),
    ("enable_distinct_reordering", 18),
    ("enable_group_by_reordering", 17),
    ("enable_memoize", 14),
    ("enable_presorted_aggregate", 16),
    ("enable_self_join_elimination", 18),
    ("event_triggers", 17),
    ("extension_control_path", 18),
    ("file_copy_method", 18),
    ("icu_validation_level", 16),
    ("idle_session_timeout", 14),
    ("io_combine_limit", 17),
    ("log_lock_failures", 18),
    ("md5_password_warnings", 18),
    ("recursive_worktable_factor", 15),
    ("scram_iterations", 16),
    ("stats_fetch_consistency", 15),
    ("track_cost_delay_timing", 18),
    ("track_wal_io_timing", 14),
    ("transaction_timeout", 17),
    ("vacuum_buffer_usage_limit", 16),
    ("vacuum_failsafe_age", 14),
    ("vacuum_max_eager_freeze_failure_rate", 18),
    ("vacuum_multixact_failsafe_age", 14),
    ("vacuum_truncate", 18),
];

/// Settings that are gone, each with the first major without it.
const GONE: &[(&str, u32)] = &[
    ("force_parallel_mode", 16),
    ("operator_precedence_warning", 14),
    ("vacuum_cleanup_index_scale_factor", 14),
];

fn named(settings: &[(&str, u32)], name: &str) -> Option<u32> {
    let mut settings = settings.iter();
    settings.find_map(|(known, major)| known.eq_ignore_ascii_case(name).then_some(*major))
}

/// Whether a server of this version has the setting; what no server is known for counts as an
/// extension's, which all may have.
pub fn is_known(name: &str, version: ServerVersion) -> bool {
    named(NEW, name).is_none_or(|major| version.at_least(major))
        && named(GONE, name).is_none_or(|major| !version.at_least(major))
}

/// As [`is_known`], of the server that is written for: without the setting something else is made,
/// and a note says so.
pub(super) fn keeps(target: &Target, name: &str) -> bool {
    let has = named(NEW, name).is_none_or(|major| target.at_least(major))
        && named(GONE, name).is_none_or(|major| !target.at_least(major));
    if !has {
        target.note(format!("the server has no setting {name}"));
    }
    has
}

/// The settings whose value is a list of identifiers: each element must be a literal of its own,
/// or the server would take the whole list for one element.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "oauth_validator_libraries",
    "output_plugin_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// `name TO value` for a setting as the catalogs store it.
pub(super) fn assignment(name: &str, value: &str) -> String {
    let value = if LISTS.iter().any(|list| list.eq_ignore_ascii_case(name)) {
        list(value)
    } else {
        literal(value)
    };
    format!("{} TO {value}", dotted(name))
}

/// A name that may have parts between dots, each quoted where needed: `myext.level`,
/// `toast.autovacuum_enabled`.
pub(super) fn dotted(name: &str) -> String {
    name.split('.').map(ident).collect::<Vec<_>>().join(".")
}

/// A list of identifiers as a list of literals. A text that is not such a list (an extension may
/// store anything) stays whole.
fn list(value: &str) -> String {
    match split(value) {
        Some(elements) if !elements.is_empty() => {
            let quoted: Vec<_> = elements.iter().map(|element| literal(element)).collect();
            quoted.join(", ")
        }
        Some(_) => String::from("''"),
        None => literal(value),
    }
}

/// The elements of a comma-separated list, each bare or in double quotes; none if it is not
/// such a list.
fn split(value: &str) -> Option<Vec<String>> {
    let mut elements = Vec::new();
    let mut rest = value.trim_ascii();
    if rest.is_empty() {
        return Some(elements);
    }
    loop {
        let (element, after) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted)?
        } else {
            let end = rest
                .find(|c: char| c == ',' || c.is_ascii_whitespace())
                .unwrap_or(rest.len());
            let (element, after) = rest.split_at(end);
            if element.is_empty() {
                return None;
            }
            (element.to_owned(), after)
        };
        elements.push(element);
        let after = after.trim_ascii_start();
        if after.is_empty() {
            return Some(elements);
        }
        rest = after.strip_prefix(',')?.trim_ascii_start();
    }
}

/// ` WITH (name='value', …)`, or nothing.
pub(super) fn with(options: &[(String, String)]) -> String {
    if options.is_empty() {
        return String::new();
    }
    format!(" WITH ({})", storage_parameters(options))
}

/// `name='value', …`. Values are always quoted: the server accepts every one as a string.
pub(super) fn storage_parameters(options: &[(String, String)]) -> String {
    let parts: Vec<_> = options
        .iter()
        .map(|(name, value)| format!("{}={}", dotted(name), literal(value)))
        .collect();
    parts.join(", ")
}

/// ` OPTIONS (name 'value', …)` of foreign objects, or nothing.
pub(super) fn foreign(options: &[(String, String)]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let parts: Vec<_> = options
        .iter()
        .map(|(name, value)| format!("{} {}", ident(name), literal(value)))
        .collect();
    format!(" OPTIONS ({})", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn settings_come_and_go() {
        let version = |major: u32| ServerVersion::from_num(major * 10_000);
        assert!(!is_known("Transaction_timeout", version(16)));
        assert!(is_known("transaction_timeout", version(17)));
        assert!(is_known("force_parallel_mode", version(15)));
        assert!(!is_known("force_parallel_mode", version(16)));
        assert!(is_known("work_mem", version(13)));
        assert!(is_known("own.thing", version(13)));
    }

    #[test]
    fn lists_are_split_and_other_values_are_not() {
        let cases = [
            (
                "search_path",
                "\"$user\", app",
                "search_path TO '$user', 'app'",
            ),
            ("search_path", "\"\"", "search_path TO ''"),
            ("search_path", "", "search_path TO ''"),
            ("Search_Path", "a,b", "\"Search_Path\" TO 'a', 'b'"),
            (
                "search_path",
                "\"a\"\"b\", \"c, d\"",
                "search_path TO 'a\"b', 'c, d'",
            ),
            (
                "search_path",
                "pg_catalog , Mixed",
                "search_path TO 'pg_catalog', 'Mixed'",
            ),
            ("search_path", "a b", "search_path TO 'a b'"),
            ("search_path", "\"open", "search_path TO '\"open'"),
            ("work_mem", "64MB", "work_mem TO '64MB'"),
            ("myext.Level", "it's, me", "myext.\"Level\" TO 'it''s, me'"),
            (
                "TimeZone",
                "Europe/Berlin",
                "\"TimeZone\" TO 'Europe/Berlin'",
            ),
        ];
        for (name, value, expected) in cases {
            assert_eq!(assignment(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn storage_parameters_keep_the_dot_of_their_namespace() {
        let options = [
            (String::from("fillfactor"), String::from("70")),
            (
                String::from("toast.autovacuum_enabled"),
                String::from("false"),
            ),
        ];
        assert_eq!(
            with(&options),
            " WITH (fillfactor='70', toast.autovacuum_enabled='false')"
        );
        assert_eq!(with(&[]), "");
    }

    proptest! {
        #[test]
        fn a_quoted_list_comes_back_element_by_element(
            elements in proptest::collection::vec("[a-zA-Z$\", '\\\\.]{0,8}", 1..5)
        ) {
            let stored: Vec<_> = elements
                .iter()
                .map(|element| format!("\"{}\"", element.replace('"', "\"\"")))
                .collect();
            prop_assert_eq!(split(&stored.join(", ")), Some(elements));
        }
    }
}
