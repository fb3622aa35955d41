//! A notice in words, as JSON, and as Slack takes it.

use std::fmt::Write as _;

use serde::Serialize;

use super::notice::{LastSuccess, Notice, Work};
use super::settings::Occasion;
use super::text::{one_line, without_passwords};
use crate::archive::Timestamp;

/// The program that tells.
const TOOL: &str = concat!("pgstow ", env!("CARGO_PKG_VERSION"));

/// Longest name in a message, in characters.
const NAME: usize = 100;

/// Longest error or hint, in characters.
const ERROR: usize = 2000;

/// Version of the JSON form.
const FORMAT: u32 = 1;

/// A notice with every text made fit to be told.
#[derive(Debug, Serialize)]
pub(super) struct Message {
    format: u32,
    event: Occasion,
    work: Work,
    summary: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    database: String,
    store: String,
    pub(super) host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    backup_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Null when there is none, left out when it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<Option<Timestamp>>,
    tool: &'static str,
}

/// Whether something has happened, or whether it is only tried out how it would be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It has happened.
    Tell,
    /// It is a test.
    Test,
}

impl Message {
    pub(super) fn new(notice: &Notice, purpose: Purpose) -> Self {
        let name = |text: &str| one_line(&without_passwords(text), NAME);
        let error = |text: &Option<String>| {
            let text = text.as_deref()?;
            Some(one_line(&without_passwords(text), ERROR))
        };
        let mut message = Self {
            format: FORMAT,
            event: notice.kind,
            work: notice.work,
            summary: String::new(),
            test: purpose == Purpose::Test,
            job: notice.job.as_deref().map(name),
            database: name(&notice.database),
            store: name(&notice.store),
            host: name(&notice.host),
            backup: notice.backup.as_deref().map(name),
            backup_type: notice.backup_type.as_deref().map(name),
            started: notice.started,
            ended: notice.ended,
            seconds: notice
                .started
                .zip(notice.ended)
                .map(|(started, ended)| ended.0.saturating_sub(started.0)),
            stored_bytes: notice.stored_bytes,
            raw_bytes: notice.raw_bytes,
            tables: notice.tables,
            rows: notice.rows,
            error: error(&notice.error),
            hint: error(&notice.hint),
            last_success: match notice.last_success {
                LastSuccess::Unknown => None,
                LastSuccess::Never => Some(None),
                LastSuccess::At(time) => Some(Some(time)),
            },
            tool: TOOL,
        };
        message.summary = message.sum_up();
        message
    }

    /// `backup of shop on db1 failed`.
    fn sum_up(&self) -> String {
        let how = match self.event {
            Occasion::Started => "has begun",
            Occasion::Succeeded => "succeeded",
            Occasion::Failed => "failed",
            Occasion::Recovered => "succeeded again",
        };
        let test = if self.test { "test: " } else { "" };
        let work = self.work.name();
        let database = match self.database.as_str() {
            "" => String::new(),
            name => format!(" of {name}"),
        };
        format!("{test}{work}{database} on {} {how}", self.host)
    }

    /// The subject of a mail.
    pub(super) fn subject(&self) -> String {
        format!("[pgstow] {}", self.summary)
    }

    /// The text of a mail.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if self.test {
            text.push_str("This is a test: nothing has happened.\n\n");
        }
        let mut line = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{name:<13} {value}");
            }
        };
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| format!("{bytes} bytes"));
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        line("what:", Some(self.summary.clone()));
        line("error:", self.error.clone());
        line("hint:", self.hint.clone());
        line("job:", self.job.clone());
        line("database:", Some(self.database.clone()));
        line("store:", Some(self.store.clone()));
        line("host:", Some(self.host.clone()));
        line("backup:", self.backup.clone());
        line("type:", self.backup_type.clone());
        line("began:", time(self.started));
        line("ended:", time(self.ended));
        line("took:", self.seconds.map(|seconds| format!("{seconds} s")));
        line("stored:", bytes(self.stored_bytes));
        line("raw data:", bytes(self.raw_bytes));
        line("tables:", number(self.tables));
        line("rows:", number(self.rows));
        let last = self.last_success.map(|last| {
            let none = || "there is none".to_owned();
            last.map_or_else(none, |time| time.to_string())
        });
        line("last success:", last);
        let _ = write!(text, "\n-- \n{TOOL}\n");
        text
    }

    /// The JSON form.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// The form of Slack's incoming webhooks.
    pub(super) fn slack(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Slack {
            text: String,
        }
        let mut text = self.summary.clone();
        for (name, value) in [
            ("error", &self.error),
            ("hint", &self.hint),
            ("job", &self.job),
            ("backup", &self.backup),
        ] {
            if let Some(value) = value {
                let _ = write!(text, "\n{name}: {value}");
            }
        }
        // The three characters that Slack takes for its own.
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        serde_json::to_string(&Slack { text })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn failed() -> Notice {
        Notice {
            kind: Occasion::Failed,
            database: "shop\r\nBcc: x@example.org".to_owned(),
            host: "db1".to_owned(),
            error: Some("connect to postgres://a:geheim@h/d:\n<!channel> & co".to_owned()),
            started: Some(Timestamp(1_700_000_000)),
            ended: Some(Timestamp(1_700_000_007)),
            last_success: LastSuccess::Never,
            ..Notice::default()
        }
    }

    #[test]
    fn a_name_cannot_make_a_header_nor_an_error_a_line() {
        let message = Message::new(&failed(), Purpose::Tell);
        let subject = message.subject();
        assert_eq!(
            subject,
            "[pgstow] backup of shop Bcc: x@example.org on db1 failed"
        );
        let text = message.text();
        assert!(
            text.contains("error:        connect to postgres://a:(hidden)@h/d: <!channel> & co\n")
        );
        assert!(text.contains("took:         7 s\n"), "{text}");
        assert!(text.contains("last success: there is none\n"), "{text}");
        assert!(!text.contains("geheim"));
    }

    #[test]
    fn json_has_what_is_known_and_nothing_else() {
        let message = Message::new(&failed(), Purpose::Tell);
        let json: serde_json::Value = serde_json::from_str(&message.json().unwrap()).unwrap();
        assert_eq!(json["event"], "failed");
        assert_eq!(json["work"], "backup");
        assert_eq!(json["seconds"], 7);
        assert_eq!(json["started"], "2023-11-14T22:13:20Z");
        assert!(json["last_success"].is_null() && json.get("last_success").is_some());
        assert!(json.get("rows").is_none() && json.get("test").is_none());
        let test = Message::new(&failed(), Purpose::Test);
        assert!(test.json().unwrap().contains("\"test\":true"));
        assert!(test.subject().starts_with("[pgstow] test: "));
    }

    #[test]
    fn slack_calls_nobody() {
        let text = Message::new(&failed(), Purpose::Tell).slack().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let text = json["text"].as_str().unwrap();
        assert!(text.contains("&lt;!channel&gt; &amp; co"), "{text}");
    }
}
