//! Notices about backups: mail, webhooks, and pings to a service that expects them.
//!
//! Why it exists: a backup that fails at night and tells nobody is found when it is needed.
//!
//! What it promises: each way is tried several times and for a bounded time, and how it went is an answer, never an
//! error that could fail the work; nothing that is told or answered has a password, a key or the path of a URL
//! in it; what others named or said cannot make a header, a line or a mention of its own.
//!
//! What it leaves to others: what has happened, and whether it is a recovery (`ops`), and to say that a notice was
//! not delivered.

mod attempt;
mod http;
mod mail;
mod message;
mod notice;
mod notifier;
mod settings;
mod text;

pub use notice::{Delivery, LastSuccess, Notice, Work};
pub use notifier::Notifier;
pub use settings::{Form, Mail, MailTls, Occasion, Ping, Settings, Webhook};
