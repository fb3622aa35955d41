//! A mail server that keeps what it is sent, as long as the test holds it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::pki::Pki;
use super::server::is_root;

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailEncryption {
    /// In the clear at first; nothing is taken before STARTTLS.
    StartTls,
    /// From the first byte.
    Tls,
    /// It knows nothing of TLS.
    None,
}

/// A mail as the server got it.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body.
    pub content: String,
    pub encrypted: bool,
    /// Who had logged in.
    pub login: Option<String>,
}

impl Mail {
    /// The subject, where it is plain ASCII; folded lines are joined.
    pub fn subject(&self) -> String {
        let head = self.content.split("\r\n\r\n").next().unwrap();
        let head = head.replace("\r\n ", " ");
        let line = head.lines().find(|line| line.starts_with("Subject: "));
        line.unwrap()["Subject: ".len()..].to_owned()
    }
}

/// How long a mail may take to arrive.
const LIMIT: Duration = Duration::from_secs(60);

/// The server.
pub struct MailSink {
    server: Child,
    port: u16,
    mails: Receiver<Mail>,
}

impl MailSink {
    /// Starts one that takes mail from this user alone, or from anybody.
    pub fn start(encryption: MailEncryption, pki: &Pki, login: Option<(&str, &str)>) -> Self {
        Self::start_refusing(encryption, pki, login, 0)
    }

    /// The same; the first so many mails are turned away for the moment.
    pub fn start_refusing(
        encryption: MailEncryption,
        pki: &Pki,
        login: Option<(&str, &str)>,
        refusals: u32,
    ) -> Self {
        let mut command = Command::new("python3");
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/support/mail_sink.py"
            ))
            .args([
                "0",
                match encryption {
                    MailEncryption::StartTls => "starttls",
                    MailEncryption::Tls => "tls",
                    MailEncryption::None => "none",
                },
            ])
            .env("PYTHONPATH", fetched())
            .stdout(Stdio::piped());
        match encryption {
            MailEncryption::None => command.args(["-", "-"]),
            _ => command.arg(pki.server_cert()).arg(pki.server_key()),
        };
        let (user, password) = login.unwrap_or(("-", "-"));
        command.args([user, password, &refusals.to_string()]);
        let mut server = command.spawn().expect("python3 runs");
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let ready = lines.next().expect("the mail server starts").unwrap();
        let port = ready.strip_prefix("ready ").unwrap().parse().unwrap();
        let (sender, mails) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let json: serde_json::Value = serde_json::from_str(&line).unwrap();
                let text = |it: &serde_json::Value| it.as_str().map(str::to_owned);
                let mail = Mail {
                    from: text(&json["from"]).unwrap(),
                    to: json["to"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter_map(text)
                        .collect(),
                    content: text(&json["content"]).unwrap(),
                    encrypted: json["encrypted"] == true,
                    login: text(&json["login"]),
                };
                if sender.send(mail).is_err() {
                    return;
                }
            }
        });
        Self {
            server,
            port,
            mails,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next mail.
    #[track_caller]
    pub fn next(&self) -> Mail {
        self.mails.recv_timeout(LIMIT).expect("a mail arrives")
    }

    /// Everything that has arrived and was not taken yet.
    pub fn rest(&self) -> Vec<Mail> {
        self.mails.try_iter().collect()
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

/// Where `scripts/fetch-mail` puts it.
fn fetched() -> PathBuf {
    let servers = match std::env::var_os("PGSTOW_SERVERS") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ if is_root() => PathBuf::from("/var/cache/pgstow/servers"),
        _ => {
            Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cache/pgstow/servers")
        }
    };
    let found = servers.join("mail");
    assert!(
        found.join(".version").exists(),
        "aiosmtpd is not in {}: run scripts/fetch-mail",
        found.display()
    );
    found
}
