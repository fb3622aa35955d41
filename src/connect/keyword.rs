//! The connection parameters that libpq knows, and what becomes of each here.
//!
//! A parameter that is not implemented is accepted only when leaving it out changes nothing that
//! the user relies on; one that asks for protection that is not given is an error.

use crate::error::{Error, Kind, Result};
use crate::suggest::nearest;

/// What is done with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// Has its effect.
    Used,
    /// Accepted without effect, and nothing is lost by that.
    Harmless,
    /// Refused when it has a value other than one of these.
    OnlyAs(&'static [&'static str]),
}

/// One parameter: its keyword, the variable that gives it, and what is done with it.
#[derive(Debug)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) support: Support,
}

const fn used(name: &'static str, variable: Option<&'static str>) -> Keyword {
    Keyword {
        name,
        variable,
        support: Support::Used,
    }
}

const fn harmless(name: &'static str, variable: Option<&'static str>) -> Keyword {
    Keyword {
        name,
        variable,
        support: Support::Harmless,
    }
}

const fn only(
    name: &'static str,
    variable: Option<&'static str>,
    values: &'static [&'static str],
) -> Keyword {
    Keyword {
        name,
        variable,
        support: Support::OnlyAs(values),
    }
}

/// Every keyword of libpq 18 and the few that were announced after it.
pub(super) const KEYWORDS: &[Keyword] = &[
    used("application_name", Some("PGAPPNAME")),
    harmless("authtype", None),
    used("channel_binding", Some("PGCHANNELBINDING")),
    // Every session speaks UTF8; what a client would like to read does not change an archive.
    harmless("client_encoding", Some("PGCLIENTENCODING")),
    used("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    used("dbname", Some("PGDATABASE")),
    used("fallback_application_name", None),
    only("gssencmode", Some("PGGSSENCMODE"), &["disable", "prefer"]),
    harmless("gssdelegation", Some("PGGSSDELEGATION")),
    harmless("gsslib", Some("PGGSSLIB")),
    used("host", Some("PGHOST")),
    used("hostaddr", Some("PGHOSTADDR")),
    used("keepalives", None),
    used("keepalives_count", None),
    used("keepalives_idle", None),
    used("keepalives_interval", None),
    harmless("krbsrvname", Some("PGKRBSRVNAME")),
    used("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    harmless("max_protocol_version", Some("PGMAXPROTOCOLVERSION")),
    only(
        "min_protocol_version",
        Some("PGMINPROTOCOLVERSION"),
        &["3.0"],
    ),
    only("oauth_client_id", None, &[]),
    only("oauth_client_secret", None, &[]),
    only("oauth_issuer", None, &[]),
    only("oauth_scope", None, &[]),
    used("options", Some("PGOPTIONS")),
    used("passfile", Some("PGPASSFILE")),
    used("password", Some("PGPASSWORD")),
    used("port", Some("PGPORT")),
    only("replication", None, &["false", "off", "no", "0", "f", "n"]),
    used("require_auth", Some("PGREQUIREAUTH")),
    used("requirepeer", Some("PGREQUIREPEER")),
    used("requiressl", Some("PGREQUIRESSL")),
    only("scram_client_key", None, &[]),
    only("scram_server_key", None, &[]),
    used("service", Some("PGSERVICE")),
    used("servicefile", Some("PGSERVICEFILE")),
    used("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION")),
    used("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION")),
    used("sslcert", Some("PGSSLCERT")),
    only("sslcertmode", Some("PGSSLCERTMODE"), &["allow", "disable"]),
    harmless("sslcompression", Some("PGSSLCOMPRESSION")),
    only("sslcrl", Some("PGSSLCRL"), &[]),
    only("sslcrldir", Some("PGSSLCRLDIR"), &[]),
    used("sslkey", Some("PGSSLKEY")),
    harmless("sslkeylogfile", None),
    used("sslmode", Some("PGSSLMODE")),
    used("sslnegotiation", Some("PGSSLNEGOTIATION")),
    only("sslpassword", None, &[]),
    used("sslrootcert", Some("PGSSLROOTCERT")),
    used("sslsni", Some("PGSSLSNI")),
    used("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    used("tcp_user_timeout", None),
    used("user", Some("PGUSER")),
];

/// The keyword of this name.
///
/// # Errors
/// Of kind `Usage` for an unknown one, with the nearest right one as the hint.
pub(super) fn find(name: &str) -> Result<&'static Keyword> {
    KEYWORDS
        .iter()
        .find(|keyword| keyword.name == name)
        .ok_or_else(|| {
            let error = Error::new(
                Kind::Usage,
                format!("unknown connection parameter \"{name}\""),
            );
            match nearest(name, KEYWORDS.iter().map(|keyword| keyword.name)) {
                Some(right) => error.with_hint(format!("did you mean \"{right}\"?")),
                None => error,
            }
        })
}

impl Keyword {
    /// Refuses a value that asks for something which is not done here.
    pub(super) fn check(&self, value: &str) -> Result<()> {
        match self.support {
            Support::OnlyAs(values) if !value.is_empty() && !values.contains(&value) => {
                let error = Error::new(
                    Kind::Usage,
                    match values {
                        [] => format!("connection parameter \"{}\" is not supported", self.name),
                        _ => format!(
                            "connection parameter \"{}\" is not supported with that value",
                            self.name
                        ),
                    },
                );
                Err(match values {
                    [] => error,
                    _ => error.with_hint(format!("supported: {}", values.join(", "))),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted_enough_to_be_unique() {
        let mut names: Vec<_> = KEYWORDS.iter().map(|keyword| keyword.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KEYWORDS.len());
    }

    #[test]
    fn unknown_keywords_name_the_nearest() {
        for (wrong, right) in [
            ("ssl_mode", Some("sslmode")),
            ("hosts", Some("host")),
            ("database", None),
            ("conect_timeout", Some("connect_timeout")),
            ("targetsessionattrs", Some("target_session_attrs")),
            ("zzzzzzzzzzzz", None),
        ] {
            let error = find(wrong).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.message().contains(wrong));
            if let Some(right) = right {
                assert!(error.hint().unwrap().contains(right), "{wrong}");
            }
        }
    }

    #[test]
    fn what_would_weaken_is_refused() {
        for (name, value, fine) in [
            ("sslcrl", "/etc/crl.pem", false),
            ("sslcrl", "", true),
            ("gssencmode", "require", false),
            ("gssencmode", "prefer", true),
            ("replication", "database", false),
            ("replication", "off", true),
            ("min_protocol_version", "3.2", false),
            ("krbsrvname", "postgres", true),
        ] {
            assert_eq!(
                find(name).unwrap().check(value).is_ok(),
                fine,
                "{name}={value}"
            );
        }
    }
}
