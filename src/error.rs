//! The one error type, and the rules every error follows.
//!
//! Rules:
//! - A message is lower case, has no full stop, and reads from the outside in:
//!   `dump table public.orders: copy out: connection reset`.
//! - What the user can do about it is the hint, a field of its own.
//! - Neither carries a password, a key or the content of a row.
//! - Decisions are made by [`Kind`] and [`SqlState`], never by message text.

use std::borrow::Cow;
use std::fmt;

pub use tokio_postgres::error::SqlState;

/// What went wrong, as far as a caller may want to decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The work failed; nothing more specific applies.
    Failed,
    /// The request itself makes no sense: bad option, bad combination, bad connection string.
    Usage,
    /// No connection: unreachable, refused, login rejected, TLS demands not met, no such database.
    Connect,
    /// An established connection was lost.
    ConnectionLost,
    /// The server answered a statement with an error; see [`Error::sqlstate`].
    Server,
    /// The archive is damaged, unfinished, or not an archive.
    Archive,
    /// The archive is of a newer format than this version reads; nothing is known to be wrong with it.
    NewerFormat,
    /// Refused to protect the user: target not empty, confirmation missing, locked.
    Refused,
    /// Storage: missing file, object or bucket, no right, disk full.
    Storage,
    /// What was being read changed underneath: begun again, it may well succeed.
    Stale,
    /// Interrupted by the user.
    Interrupted,
}

/// The result type of the whole library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the system refused something, in the words of our messages.
pub fn system_reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let known = match error.kind() {
        ErrorKind::NotFound => "no such file or directory",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::IsADirectory => "it is a directory",
        ErrorKind::StorageFull => "no space left on device",
        ErrorKind::QuotaExceeded => "disk quota exceeded",
        ErrorKind::FileTooLarge => "file too large",
        ErrorKind::BrokenPipe => "broken pipe: its reader has gone",
        ErrorKind::UnexpectedEof => "it has become shorter",
        ErrorKind::ReadOnlyFilesystem => "read-only file system",
        _ => {
            let text = error.to_string();
            let mut chars = text.chars();
            return chars.next().map_or_else(String::new, |first| {
                first.to_lowercase().chain(chars).collect()
            });
        }
    };
    known.to_owned()
}

/// An error: its [`Kind`], a chain of contexts, an optional hint and the server's SQLSTATE.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    message: String,
    hint: Option<Cow<'static, str>>,
    sqlstate: Option<SqlState>,
    routine: Option<String>,
    statement: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                message: message.into(),
                hint: None,
                sqlstate: None,
                routine: None,
                statement: None,
                source: None,
            }),
        }
    }

    /// Puts `outer` in front of the message: `outer: message`.
    #[must_use]
    pub fn context(mut self, outer: impl fmt::Display) -> Self {
        self.inner.message = format!("{outer}: {}", self.inner.message);
        self
    }

    /// Says what the user can do about it (replaces an earlier hint).
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Keeps the error that caused this one; its text is not repeated in the message.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Records the server's SQLSTATE.
    #[must_use]
    pub fn with_sqlstate(mut self, state: SqlState) -> Self {
        self.inner.sqlstate = Some(state);
        self
    }

    /// Records the server's routine that failed: the same name in every language and encoding, which
    /// tells apart what shares a SQLSTATE.
    #[must_use]
    pub fn with_routine(mut self, routine: impl Into<String>) -> Self {
        self.inner.routine = Some(routine.into());
        self
    }

    /// Records the statement that failed, for reports of a restore.
    #[must_use]
    pub fn with_statement(mut self, statement: impl Into<String>) -> Self {
        self.inner.statement = Some(statement.into());
        self
    }

    /// Changes the kind; used where a lower layer's failure means something else higher up.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.inner.kind = kind;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// The message with all its contexts, outermost first.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// The server's SQLSTATE, when the server said no.
    pub fn sqlstate(&self) -> Option<&SqlState> {
        self.inner.sqlstate.as_ref()
    }

    /// The server's routine that failed, as far as it said.
    pub fn routine(&self) -> Option<&str> {
        self.inner.routine.as_deref()
    }

    /// The statement that failed, when one did.
    pub fn statement(&self) -> Option<&str> {
        self.inner.statement.as_deref()
    }

    /// Whether the server itself is in trouble, and not the statement that it answered: out of some resource, or
    /// shutting down.
    pub(crate) fn is_of_whole_server(&self) -> bool {
        let state = self.inner.sqlstate.as_ref().map(SqlState::code);
        self.inner.kind == Kind::Server
            && state.is_some_and(|code| code.starts_with("53") || code.starts_with("57P"))
    }

    /// Whether trying the same again may succeed: a lost connection, a serialization failure,
    /// a recovery conflict, a server that is starting up or shutting down.
    pub fn is_transient(&self) -> bool {
        match self.inner.kind {
            Kind::ConnectionLost => true,
            Kind::Server | Kind::Connect => self.inner.sqlstate.as_ref().is_some_and(|state| {
                matches!(
                    *state,
                    SqlState::ADMIN_SHUTDOWN
                        | SqlState::CRASH_SHUTDOWN
                        | SqlState::CANNOT_CONNECT_NOW
                        | SqlState::T_R_SERIALIZATION_FAILURE
                        | SqlState::T_R_DEADLOCK_DETECTED
                        | SqlState::TOO_MANY_CONNECTIONS
                )
            }),
            _ => false,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("hint", &self.inner.hint)
            .field("sqlstate", &self.inner.sqlstate)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<tokio_postgres::Error> for Error {
    /// A server's answer becomes [`Kind::Server`] with its SQLSTATE; everything else on an
    /// established connection counts as [`Kind::ConnectionLost`].
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            let mut converted =
                Self::new(Kind::Server, db.message().to_owned()).with_sqlstate(db.code().clone());
            if let Some(hint) = db.hint() {
                converted = converted.with_hint(hint.to_owned());
            }
            return converted.with_source(error);
        }
        let kind = if error.is_closed() || is_io(&error) {
            Kind::ConnectionLost
        } else {
            Kind::Failed
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<std::io::Error>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// A text for people: each byte of another encoding, which stands in it as [`sql::text_of`](crate::sql::text_of) says, becomes U+FFFD.
pub fn legible(text: &str) -> Cow<'_, str> {
    let mut parts = text.split('\0');
    let first = parts.next().unwrap_or_default();
    if first.len() == text.len() {
        return Cow::Borrowed(text);
    }
    let mut legible = first.to_owned();
    for part in parts {
        legible.push('\u{fffd}');
        let mut characters = part.chars();
        characters.next();
        legible.push_str(characters.as_str());
    }
    Cow::Owned(legible)
}

/// A name for a message, which is one line: control characters become spaces.
pub(crate) fn one_line(text: &str) -> String {
    legible(text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// For a message the first `most` of these, and as the last one how many others there are.
pub(crate) fn first_of(mut told: Vec<String>, most: usize) -> Vec<String> {
    let more = told.len().saturating_sub(most);
    told.truncate(most);
    if more > 0 {
        told.push(format!("and {more} others"));
    }
    told
}

/// `1 table`, `2 tables`, `3 entries`: how many there are of what a word of English names.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 {
        return format!("1 {what}");
    }
    match what.strip_suffix('y') {
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {what}s"),
    }
}

/// Adds context to the error of a `Result`, built only when there is one.
pub trait Context<T> {
    /// Puts `outer()` in front of the error's message.
    ///
    /// # Errors
    /// The same error as before, with more context.
    fn context_with<D: fmt::Display>(self, outer: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context_with<D: fmt::Display>(self, outer: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().context(outer()))
    }
}
