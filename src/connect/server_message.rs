//! `ErrorResponse` and `NoticeResponse`: from the server's fields to an [`Error`] or a line.

use crate::connect::frames::split_cstr;
use crate::error::{Error, Kind, Result, SqlState};

/// Whether a statement's errors can quote row content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// DDL, queries: the message is the server's own, but for the value that a data exception
    /// quotes.
    Statement,
    /// Rows are under way: values are left out of messages.
    Rows,
}

/// The fields that are used.
#[derive(Debug, Default)]
pub(super) struct ServerMessage {
    /// Not localised; from 9.6 on.
    severity: String,
    pub(super) code: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    context: Option<String>,
    routine: Option<String>,
}

impl ServerMessage {
    pub(super) fn parse(payload: &[u8]) -> Result<Self> {
        let mut fields = Self::default();
        let mut rest = payload;
        while let Some((&tag, tail)) = rest.split_first() {
            if tag == 0 {
                break;
            }
            let (value, tail) = split_cstr(tail)?;
            // Before the login is done the server's encoding is not ours yet.
            let value = String::from_utf8_lossy(value).into_owned();
            match tag {
                b'V' => fields.severity = value,
                b'S' if fields.severity.is_empty() => fields.severity = value,
                b'C' => fields.code = value,
                b'M' => fields.message = value,
                b'D' => fields.detail = Some(value),
                b'H' => fields.hint = Some(value),
                b'W' => fields.context = Some(value),
                b'R' => fields.routine = Some(value),
                _ => {}
            }
            rest = tail;
        }
        Ok(fields)
    }

    /// Whether the server ends the session with this.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
    }

    /// One line for a notice. One about data quotes the value as an error would.
    pub(super) fn line(&self) -> String {
        let is_data = self.code.starts_with("22");
        let message = if is_data {
            without_values(&self.message)
        } else {
            one_line(&self.message)
        };
        let mut line = format!("{}: {message}", self.severity.to_lowercase());
        if let Some(detail) = self.detail.as_ref().filter(|_| !is_data) {
            line.push_str(" (");
            line.push_str(&one_line(detail));
            line.push(')');
        }
        line
    }

    /// The error of an established session: `ConnectionLost` when the server ends it, else `Server`.
    pub(super) fn into_error(self, content: Content) -> Error {
        let kind = if self.is_fatal() {
            Kind::ConnectionLost
        } else {
            Kind::Server
        };
        self.into_error_of(kind, content)
    }

    /// The same with a kind of the caller's choice.
    pub(super) fn into_error_of(self, kind: Kind, content: Content) -> Error {
        // Data exceptions quote the value, constraint violations the key.
        let is_data = self.code.starts_with("22");
        let hides_detail = content == Content::Rows || is_data || self.code.starts_with("23");
        // An index on an expression or a refresh looks at rows too, and quotes them so.
        let mut text = if is_data {
            without_values(&self.message)
        } else {
            one_line(&self.message)
        };
        if let Some(detail) = self.detail.filter(|_| !hides_detail) {
            text.push_str(" (");
            text.push_str(one_line(&detail).trim_end_matches('.'));
            text.push(')');
        }
        if let Some(place) = self.context.as_deref().and_then(copy_place) {
            text = format!("{place}: {text}");
        }
        let mut error = Error::new(kind, text).with_sqlstate(SqlState::from_code(&self.code));
        if let Some(routine) = self.routine {
            error = error.with_routine(routine);
        }
        if let Some(hint) = self.hint {
            error = error.with_hint(one_line(&hint));
        }
        error
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

/// A data exception's message without the value that it quotes:
/// `invalid input syntax for type integer: "abc"` ends before the colon, and
/// `value "99999999999" is out of range` loses what stands in quotes.
fn without_values(message: &str) -> String {
    let text = message.split(": ").next().unwrap_or_default();
    match (text.find("value \""), text.rfind('"')) {
        (Some(begin), Some(end)) if end > begin + 6 => {
            format!("{}value{}", &text[..begin], &text[end + 1..])
        }
        _ => one_line(text),
    }
}

/// `COPY orders, line 3, column price` of a CONTEXT that goes on with the row's text.
fn copy_place(context: &str) -> Option<String> {
    let context = context.lines().find(|line| line.starts_with("COPY "))?;
    let line = context.find(", line ")?;
    let number_at = line + ", line ".len();
    let digits = context[number_at..]
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count();
    let end = number_at + digits;
    let column = context[end..]
        .strip_prefix(", column ")
        .and_then(|rest| rest.find(": ").map(|colon| &rest[..colon]));
    Some(match column {
        Some(column) => format!("copy {}, column {column}", &context["COPY ".len()..end]),
        None => format!("copy {}", &context["COPY ".len()..end]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(fields: &[(u8, &str)]) -> Vec<u8> {
        let mut payload = Vec::new();
        for (tag, value) in fields {
            payload.push(*tag);
            payload.extend_from_slice(value.as_bytes());
            payload.push(0);
        }
        payload.push(0);
        payload
    }

    #[test]
    fn row_content_stays_out() {
        for (code, message, context, expected) in [
            (
                "22P02",
                "invalid input syntax for type integer: \"secret\"",
                "COPY t, line 3, column a: \"secret\"",
                "copy t, line 3, column a: invalid input syntax for type integer",
            ),
            (
                "22003",
                "value \"99999secret99\" is out of range for type integer",
                "COPY t, line 12, column a: \"99999secret99\"",
                "copy t, line 12, column a: value is out of range for type integer",
            ),
            (
                "22P04",
                "missing data for column \"b\"",
                "COPY \"odd, name\", line 1: \"secret\"",
                "copy \"odd, name\", line 1: missing data for column \"b\"",
            ),
            (
                "23505",
                "duplicate key value violates unique constraint \"t_pkey\"",
                "COPY t, line 2",
                "copy t, line 2: duplicate key value violates unique constraint \"t_pkey\"",
            ),
        ] {
            let payload = response(&[
                (b'S', "FEHLER"),
                (b'V', "ERROR"),
                (b'C', code),
                (b'M', message),
                (b'D', "Key (a)=(secret) already exists."),
                (b'W', context),
            ]);
            let error = ServerMessage::parse(&payload)
                .unwrap()
                .into_error(Content::Rows);
            assert_eq!(error.message(), expected);
            assert_eq!(error.kind(), Kind::Server);
            assert_eq!(error.sqlstate().unwrap().code(), code);
        }
    }

    #[test]
    fn details_of_statements_are_kept_unless_they_hold_keys() {
        let parse = |code| {
            ServerMessage::parse(&response(&[
                (b'V', "ERROR"),
                (b'C', code),
                (b'M', "no"),
                (b'D', "view v depends on table t\nview w depends on it."),
                (b'H', "Use DROP ... CASCADE."),
            ]))
            .unwrap()
            .into_error(Content::Statement)
        };
        let error = parse("2BP01");
        assert_eq!(
            error.message(),
            "no (view v depends on table t; view w depends on it)"
        );
        assert_eq!(error.hint(), Some("Use DROP ... CASCADE."));
        assert_eq!(parse("23503").message(), "no");
    }

    #[test]
    fn a_fatal_error_is_a_lost_connection() {
        let message = ServerMessage::parse(&response(&[
            (b'S', "FATAL"),
            (b'V', "FATAL"),
            (b'C', "57P01"),
            (b'M', "terminating connection due to administrator command"),
        ]))
        .unwrap();
        assert!(message.is_fatal());
        let error = message.into_error(Content::Statement);
        assert_eq!(error.kind(), Kind::ConnectionLost);
        assert!(error.is_transient());
        assert_eq!(error.sqlstate().unwrap(), &SqlState::ADMIN_SHUTDOWN);
    }

    #[test]
    fn broken_fields_are_an_error() {
        assert!(ServerMessage::parse(b"Mno end").is_err());
        assert!(ServerMessage::parse(b"").is_ok());
    }
}
