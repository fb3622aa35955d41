//! What the parameters with a few words to choose from can be.

use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// How strongly TLS is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err("disable, allow, prefer, require, verify-ca, verify-full"),
        })
    }
}

/// Whether SCRAM is bound to the TLS channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

impl FromStr for ChannelBinding {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            _ => return Err("disable, prefer, require"),
        })
    }
}

/// Which kind of server will do among several hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetAttrs {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl FromStr for TargetAttrs {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => return Err("any, read-write, read-only, primary, standby, prefer-standby"),
        })
    }
}

/// A method of authentication as `require_auth` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthMethod {
    None,
    Password,
    Md5,
    Scram,
    /// Known to libpq, not implemented here.
    Other,
}

/// Which methods of authentication the user allows the server to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequireAuth {
    Any,
    Only(Vec<AuthMethod>),
    AllBut(Vec<AuthMethod>),
}

impl RequireAuth {
    pub(super) fn allows(&self, method: AuthMethod) -> bool {
        match self {
            Self::Any => true,
            Self::Only(methods) => methods.contains(&method),
            Self::AllBut(methods) => !methods.contains(&method),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |message: String| Error::new(Kind::Usage, message);
        let mut only = Vec::new();
        let mut but = Vec::new();
        for word in text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            let (list, name) = match word.strip_prefix('!') {
                Some(name) => (&mut but, name),
                None => (&mut only, word),
            };
            list.push(match name {
                "none" => AuthMethod::None,
                "password" => AuthMethod::Password,
                "md5" => AuthMethod::Md5,
                "scram-sha-256" => AuthMethod::Scram,
                "gss" | "sspi" | "oauth" => AuthMethod::Other,
                _ => {
                    return Err(wrong(format!("invalid require_auth value: \"{name}\""))
                        .with_hint(
                            "methods: password, md5, scram-sha-256, gss, sspi, oauth, none",
                        ));
                }
            });
        }
        match (only.is_empty(), but.is_empty()) {
            (true, true) => Ok(Self::Any),
            (false, true) => Ok(Self::Only(only)),
            (true, false) => Ok(Self::AllBut(but)),
            (false, false) => Err(wrong(
                "require_auth mixes methods with and without \"!\"".to_owned(),
            )),
        }
    }
}
