//! Who is told of what, and how: the settings as `pgstow.toml` has them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use crate::secret::SecretFrom;

/// What may be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// The work has begun; told to pings alone, unless asked for.
    Started,
    /// It has succeeded, as it did before.
    #[default]
    Succeeded,
    /// It has failed.
    Failed,
    /// It has succeeded for the first time since it failed.
    Recovered,
}

/// Everybody who is told. The default tells nobody.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// By mail.
    pub mail: Option<Mail>,
    /// By HTTP POST, each under a name that messages call it by.
    pub webhook: BTreeMap<String, Webhook>,
    /// A service that expects to hear from a job.
    pub ping: Option<Ping>,
    /// Seconds that one try may take.
    pub timeout: u32,
    /// How often it is tried again after a failure that may pass.
    pub retries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mail: None,
            webhook: BTreeMap::new(),
            ping: None,
            timeout: 15,
            retries: 3,
        }
    }
}

impl Settings {
    /// Whether nobody is told anything.
    pub fn is_empty(&self) -> bool {
        self.mail.is_none() && self.webhook.is_empty() && self.ping.is_none()
    }
}

/// What is told by mail and webhooks unless said otherwise: that it failed, and that it no longer does.
fn troubles() -> BTreeSet<Occasion> {
    BTreeSet::from([Occasion::Failed, Occasion::Recovered])
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// It begins in the clear and is encrypted before anything is said; a server that does not
    /// offer that is told nothing.
    StartTls,
    /// From the first byte.
    Tls,
    /// Not at all.
    None,
}

/// Mail by SMTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// To whom: `address` or `Name <address>`, or several with commas between them. In a file a list
    /// or one text.
    #[serde(deserialize_with = "one_or_many")]
    pub to: Vec<String>,
    /// From whom; the user if that is an address, else `pgstow@` this machine.
    pub from: Option<String>,
    /// The mail server.
    pub host: String,
    /// Its port; by default 587, 465 with `tls`, 25 with `none`.
    pub port: Option<u16>,
    /// Encryption; by default `starttls`, and `none` with this machine itself.
    pub tls: Option<MailTls>,
    /// Authorities to trust besides this machine's, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Who logs in; nobody does without.
    pub user: Option<String>,
    /// His password.
    pub password: Option<SecretFrom>,
    /// What is told.
    pub on: BTreeSet<Occasion>,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            from: None,
            host: "localhost".to_owned(),
            port: None,
            tls: None,
            ca_file: None,
            user: None,
            password: None,
            on: troubles(),
        }
    }
}

/// What is posted to a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// All that is known, field by field.
    #[default]
    Json,
    /// A text, as Slack's incoming webhooks and those who imitate them take it.
    Slack,
}

/// An HTTP POST.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where to. All of it but the host is a secret.
    pub url: SecretFrom,
    /// What is posted.
    #[serde(default)]
    pub form: Form,
    /// Headers besides the usual ones; their values are secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretFrom>,
    /// A key by which the body is signed: header `X-Pgstow-Signature`, HMAC-SHA-256.
    #[serde(default)]
    pub sign_with: Option<SecretFrom>,
    /// Authorities to trust besides this machine's, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What is told.
    #[serde(default = "troubles")]
    pub on: BTreeSet<Occasion>,
}

/// A service that expects to hear from a job, and raises the alarm when it does not: `/start` is added to its URL
/// when the work begins and `/fail` when it has failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The URL that says success. All of it but the host is a secret.
    pub url: SecretFrom,
    /// What says that it begins, where that is not `/start`.
    #[serde(default)]
    pub start: Option<SecretFrom>,
    /// What says that it has failed, where that is not `/fail`.
    #[serde(default)]
    pub fail: Option<SecretFrom>,
    /// Authorities to trust besides this machine's, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_unknown_keys_are_not() {
        let json = r#"{"retries": 1, "mail": {"to": "ops@example.org", "tls": "tls", "password": {"env": "X"},
            "on": ["succeeded"]}, "webhook": {"team": {"url": "https://hooks.example/x", "form": "slack",
            "headers": {"X-Key": {"file": "/run/key"}}}}, "ping": {"url": "https://hc.example/u"}}"#;
        let settings: Settings = serde_json::from_str(json).unwrap();
        let mail = settings.mail.as_ref().unwrap();
        assert_eq!((mail.to.len(), mail.tls), (1, Some(MailTls::Tls)));
        assert_eq!(mail.password, Some(SecretFrom::Env("X".to_owned())));
        assert_eq!(mail.on, BTreeSet::from([Occasion::Succeeded]));
        assert_eq!(settings.webhook["team"].on, troubles());
        assert_eq!((settings.timeout, settings.retries), (15, 1));
        assert!(!settings.is_empty() && Settings::default().is_empty());
        for wrong in [
            r#"{"mails": {}}"#,
            r#"{"mail": {"to": [], "hots": "x"}}"#,
            r#"{"ping": {}}"#,
            r#"{"webhook": {"a": {"url": "x", "form": "xml"}}}"#,
        ] {
            assert!(serde_json::from_str::<Settings>(wrong).is_err(), "{wrong}");
        }
    }
}
