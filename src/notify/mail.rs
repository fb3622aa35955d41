//! Mail by SMTP: connect, encrypt, log in, then send or say that it would do.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::Message as Letter;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use rustls_pki_types::ServerName;

use super::attempt::{Failure, read};
use super::message::Message;
use super::settings::{Mail, MailTls};
use super::text::{TRUST_HINT, is_distrust, one_line, reason, without};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::task::blocking;
use crate::trust;

/// A mail server, and from whom to whom.
pub(super) struct Mailer {
    mail: Mail,
    from: Mailbox,
    to: Mailboxes,
    tls: MailTls,
    port: u16,
    /// This machine's name.
    host: String,
}

/// What is done with a connection once it is ready.
#[derive(Clone, Copy)]
pub(super) enum Errand<'a> {
    /// A message is sent.
    Send(&'a Message),
    /// Nothing.
    Look,
}

fn usage(text: String) -> Error {
    Error::new(Kind::Usage, text)
}

impl Mailer {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what cannot be.
    pub(super) fn new(mail: Mail) -> Result<Self> {
        let mut to = Mailboxes::new();
        for text in &mail.to {
            let parsed: Mailboxes = text
                .parse()
                .map_err(|error| usage(format!("to = {text:?} is no address: {error}")))?;
            to.extend(parsed);
        }
        if to.iter().next().is_none() {
            return Err(usage("there is nobody in to".to_owned()));
        }
        if mail.host.is_empty() {
            return Err(usage("host is empty".to_owned()));
        }
        if ServerName::try_from(mail.host.as_str()).is_err() {
            let shown = one_line(&mail.host, 100);
            return Err(usage(format!("host = {shown:?} is no name of a machine")));
        }
        if mail.user.is_some() != mail.password.is_some() {
            return Err(usage("user and password go together".to_owned()));
        }
        let tls = mail.tls.unwrap_or(if is_this_machine(&mail.host) {
            MailTls::None
        } else {
            MailTls::StartTls
        });
        if tls == MailTls::None && mail.user.is_some() && !is_this_machine(&mail.host) {
            return Err(
                usage("a password does not go to another machine in the clear".to_owned())
                    .with_hint("tls = \"starttls\", or \"tls\""),
            );
        }
        let host = whoami::hostname().unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let host = match host.as_str() {
            "" => "localhost".to_owned(),
            name if name.chars().all(is_name) => host,
            _ => "localhost".to_owned(),
        };
        let from = match (&mail.from, &mail.user) {
            (Some(from), _) => from
                .parse()
                .map_err(|error| usage(format!("from = {from:?} is no address: {error}")))?,
            (None, Some(user)) if user.parse::<Mailbox>().is_ok() => user
                .parse()
                .map_err(|error| usage(format!("user = {user:?} is no address: {error}")))?,
            _ => format!("pgstow@{host}").parse().map_err(|error| {
                usage(format!("pgstow@{host} is no address: {error}")).with_hint("from = \"…\"")
            })?,
        };
        let port = mail.port.unwrap_or(match tls {
            MailTls::StartTls => 587,
            MailTls::Tls => 465,
            MailTls::None => 25,
        });
        Ok(Self {
            mail,
            from,
            to,
            tls,
            port,
            host,
        })
    }

    /// For messages.
    pub(super) fn channel(&self) -> String {
        format!("mail by {}:{}", one_line(&self.mail.host, 100), self.port)
    }

    pub(super) fn settings(&self) -> &Mail {
        &self.mail
    }

    /// Does it once.
    pub(super) async fn run(&self, errand: Errand<'_>) -> Result<(), Failure> {
        let password = match &self.mail.password {
            Some(password) => Some(read(password, "password").await?),
            None => None,
        };
        let tls = self.tls_parameters().await?;
        let mut talk = Talk::begin(self, tls, password.as_ref()).await?;
        let done = talk.go_on(self, errand).await;
        // What was asked is done, or has failed, whatever the farewell brings.
        talk.connection.abort().await;
        done
    }

    async fn tls_parameters(&self) -> Result<Option<TlsParameters>> {
        if self.tls == MailTls::None {
            return Ok(None);
        }
        let ca_file = self.mail.ca_file.clone();
        let authorities = blocking(move || {
            trust::authorities(ca_file.as_deref()).map_err(|error| error.context("ca_file"))
        });
        let failed = |error| Error::new(Kind::Failed, format!("set up TLS: {}", reason(&error)));
        let mut builder = TlsParameters::builder(self.mail.host.clone())
            .certificate_store(CertificateStore::None);
        for authority in authorities.await? {
            let certificate = Certificate::from_der(authority.to_vec()).map_err(failed)?;
            builder = builder.add_root_certificate(certificate);
        }
        builder.build_rustls().map(Some).map_err(failed)
    }

    fn letter(&self, message: &Message) -> Result<Letter> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|error| Error::new(Kind::Failed, "no randomness").with_source(error))?;
        let id = u128::from_be_bytes(random);
        let mut builder = Letter::builder()
            .from(self.from.clone())
            .subject(message.subject())
            .date_now()
            .message_id(Some(format!("<{id:032x}@{}>", self.host)))
            // So that no absence notice answers.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(ContentType::TEXT_PLAIN);
        for to in self.to.iter() {
            builder = builder.to(to.clone());
        }
        builder
            .body(message.text())
            .map_err(|error| Error::new(Kind::Failed, format!("write the mail: {error}")))
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// A connection that is encrypted as it has to be.
struct Talk<'a> {
    connection: AsyncSmtpConnection,
    password: Option<&'a Secret>,
}

impl<'a> Talk<'a> {
    async fn begin(
        mailer: &Mailer,
        tls: Option<TlsParameters>,
        password: Option<&'a Secret>,
    ) -> Result<Self, Failure> {
        let name = ClientId::Domain(mailer.host.clone());
        let server = (mailer.mail.host.as_str(), mailer.port);
        let (at_once, later) = match mailer.tls {
            MailTls::StartTls => (None, tls),
            MailTls::Tls | MailTls::None => (tls, None),
        };
        let connecting = AsyncSmtpConnection::connect_tokio1(server, None, &name, at_once, None);
        let connection = connecting
            .await
            .map_err(|error| explain("connect", &error, None))?;
        let mut talk = Self {
            connection,
            password,
        };
        if let Some(tls) = later {
            if !talk.connection.can_starttls() {
                talk.connection.abort().await;
                return Err(Failure::Final(
                    Error::new(Kind::Connect, "the server does not offer STARTTLS").with_hint(
                        "tls = \"tls\" encrypts from the first byte, usually on port 465",
                    ),
                ));
            }
            talk.connection
                .starttls(tls, &name)
                .await
                .map_err(|error| explain("STARTTLS", &error, None))?;
        }
        Ok(talk)
    }

    async fn go_on(&mut self, mailer: &Mailer, errand: Errand<'_>) -> Result<(), Failure> {
        let secret = self.password;
        if let (Some(user), Some(password)) = (&mailer.mail.user, secret) {
            let known = [Mechanism::Plain, Mechanism::Login];
            if self
                .connection
                .server_info()
                .get_auth_mechanism(&known)
                .is_none()
            {
                return Err(Failure::Final(Error::new(
                    Kind::Connect,
                    "log in: the server offers neither AUTH PLAIN nor AUTH LOGIN",
                )));
            }
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            self.connection
                .auth(&known, &credentials)
                .await
                .map_err(|error| explain("log in", &error, Some((user, password))))?;
        }
        match errand {
            Errand::Send(message) => {
                let letter = mailer.letter(message)?;
                self.connection
                    .send(letter.envelope(), &letter.formatted())
                    .await
                    .map_err(|error| explain("send", &error, None))?;
            }
            Errand::Look => {
                if !self.connection.test_connected().await {
                    let text = "the server does not answer NOOP";
                    return Err(Failure::MayPass(Error::new(Kind::Connect, text)));
                }
            }
        }
        Ok(())
    }
}

/// What an error of the mail library means. Servers may repeat what they were sent: it is taken out.
fn explain(
    step: &str,
    error: &lettre::transport::smtp::Error,
    login: Option<(&str, &Secret)>,
) -> Failure {
    let mut text = reason(error);
    if let Some((user, password)) = login {
        let password = password.reveal();
        let plain = BASE64.encode(format!("\0{user}\0{password}"));
        text = without(&text, &[password, &plain, &BASE64.encode(password)]);
    }
    if let Some(code) = error.status() {
        text = format!("the server answered {code} {text}");
    }
    let told = Error::new(Kind::Connect, format!("{step}: {text}"));
    if is_distrust(error) {
        return Failure::Final(told.with_hint(TRUST_HINT));
    }
    if error.is_permanent() || error.is_client() {
        return Failure::Final(told);
    }
    Failure::MayPass(told)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::notify::message::Purpose;
    use crate::notify::{Notice, Occasion};

    fn mail(change: impl FnOnce(&mut Mail)) -> Mail {
        let mut mail = Mail {
            to: vec!["Ops <ops@example.org>, dba@example.org".to_owned()],
            host: "mail.example.org".to_owned(),
            ..Mail::default()
        };
        change(&mut mail);
        mail
    }

    #[test]
    fn defaults_fit_the_server() {
        let mailer = Mailer::new(mail(|_| {})).unwrap();
        assert_eq!((mailer.tls, mailer.port), (MailTls::StartTls, 587));
        assert_eq!(mailer.to.iter().count(), 2);
        let local = Mailer::new(mail(|it| it.host = "localhost".to_owned())).unwrap();
        assert_eq!((local.tls, local.port), (MailTls::None, 25));
        let tls = Mailer::new(mail(|it| it.tls = Some(MailTls::Tls))).unwrap();
        assert_eq!(tls.port, 465);
        let by_user = Mailer::new(mail(|it| {
            it.user = Some("me@example.org".to_owned());
            it.password = Some("geheim".into());
        }));
        assert_eq!(by_user.unwrap().from.to_string(), "me@example.org");
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_sent() {
        let wrong = [
            mail(|it| it.to.clear()),
            mail(|it| it.to = vec!["nobody".to_owned()]),
            mail(|it| it.to = vec!["a@b.example\r\nBcc: c@d.example".to_owned()]),
            mail(|it| it.from = Some("x".to_owned())),
            mail(|it| it.host.clear()),
            mail(|it| it.host = "smtp example".to_owned()),
            mail(|it| it.user = Some("me".to_owned())),
            mail(|it| {
                it.tls = Some(MailTls::None);
                it.user = Some("me".to_owned());
                it.password = Some("geheim".into());
            }),
        ];
        for mail in wrong {
            let error = Mailer::new(mail.clone()).err();
            assert_eq!(error.map(|it| it.kind()), Some(Kind::Usage), "{mail:?}");
        }
    }

    #[test]
    fn a_letter_has_the_headers_that_we_gave_it_and_no_other() {
        let mailer = Mailer::new(mail(|_| {})).unwrap();
        let notice = Notice {
            kind: Occasion::Failed,
            database: "käse\r\nBcc: x@example.org\r\n\r\nbody".to_owned(),
            error: Some("a\r\n.\r\nb".to_owned()),
            ..Notice::default()
        };
        let letter = mailer
            .letter(&Message::new(&notice, Purpose::Tell))
            .unwrap();
        let text = String::from_utf8(letter.formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = head
            .split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().unwrap())
            .collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            [
                "Auto-Submitted",
                "Content-Transfer-Encoding",
                "Content-Type",
                "Date",
                "From",
                "Message-ID",
                "Subject",
                "To"
            ]
        );
        assert!(body.contains("a . b"), "{body}");
    }
}
