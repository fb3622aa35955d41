//! Mail, by a server that wants encryption and a login.

use std::net::TcpListener;

use pgstow::error::Kind;
use pgstow::notify::{Mail, MailTls, Notifier, Occasion, Settings};

use crate::support::{MailEncryption, MailSink, Pki};
use crate::{delivered, notice, one};

const USER: &str = "ops@example.org";
const PASSWORD: &str = "ein geheimes Wort";

fn settings(port: u16, change: impl FnOnce(&mut Mail)) -> Settings {
    let mut mail = Mail {
        to: vec!["Käthe <kaethe@example.org>, dba@example.org".to_owned()],
        host: "localhost".to_owned(),
        port: Some(port),
        tls: Some(MailTls::StartTls),
        user: Some(USER.to_owned()),
        password: Some(PASSWORD.into()),
        ..Mail::default()
    };
    change(&mut mail);
    Settings {
        mail: Some(mail),
        retries: 2,
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_failure_and_a_recovery_arrive_encrypted_and_logged_in() {
    let pki = Pki::generate();
    let sink = MailSink::start(MailEncryption::StartTls, &pki, Some((USER, PASSWORD)));
    let notifier = Notifier::new(settings(sink.port(), |mail| {
        mail.ca_file = Some(pki.ca_cert());
    }))
    .unwrap();
    delivered(notifier.check().await);
    assert!(sink.rest().is_empty());

    for kind in [Occasion::Started, Occasion::Succeeded] {
        assert!(notifier.send(&notice(kind)).await.is_empty(), "{kind:?}");
    }
    delivered(notifier.send(&notice(Occasion::Failed)).await);
    let mail = sink.next();
    assert!(mail.encrypted);
    assert_eq!(mail.login.as_deref(), Some(USER));
    assert_eq!(mail.from, USER);
    assert_eq!(mail.to, ["kaethe@example.org", "dba@example.org"]);
    assert_eq!(
        mail.subject(),
        "[pgstow] backup of shop Bcc: thief@example.org on db1 failed"
    );
    let (head, body) = mail.content.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("\r\nBcc:") && head.contains("\r\nAuto-Submitted: auto-generated"));
    let body = body.replace("=\r\n", "");
    assert!(
        body.contains("connect to postgres://app:(hidden)@db/shop: . refused <!channel>\r\n"),
        "{body}"
    );
    assert!(!mail.content.contains("geheim"));

    delivered(notifier.send(&notice(Occasion::Recovered)).await);
    assert!(sink.next().subject().ends_with("on db1 succeeded again"));

    delivered(notifier.send_test(&notice(Occasion::Failed)).await);
    assert!(sink.next().subject().starts_with("[pgstow] test: "));
    assert!(sink.rest().is_empty());
}

#[tokio::test]
async fn tls_from_the_first_byte_and_success_for_who_wants_it() {
    let pki = Pki::generate();
    let sink = MailSink::start(MailEncryption::Tls, &pki, Some((USER, PASSWORD)));
    let notifier = Notifier::new(settings(sink.port(), |mail| {
        mail.tls = Some(MailTls::Tls);
        mail.ca_file = Some(pki.ca_cert());
        mail.on = [Occasion::Succeeded].into();
    }))
    .unwrap();
    assert!(notifier.send(&notice(Occasion::Failed)).await.is_empty());
    delivered(notifier.send(&notice(Occasion::Succeeded)).await);
    assert!(sink.next().encrypted);
    delivered(notifier.send(&notice(Occasion::Recovered)).await);
    assert!(sink.next().subject().ends_with("succeeded again"));
}

#[tokio::test]
async fn a_mail_that_is_turned_away_for_the_moment_is_sent_again() {
    let pki = Pki::generate();
    let sink = MailSink::start_refusing(MailEncryption::None, &pki, None, 1);
    let notifier = Notifier::new(settings(sink.port(), |mail| {
        mail.tls = Some(MailTls::None);
        (mail.user, mail.password) = (None, None);
        mail.from = Some("Backups <backups@example.org>".to_owned());
    }))
    .unwrap();
    let delivery = one(notifier.send(&notice(Occasion::Failed)).await);
    assert!(delivery.error.is_none(), "{delivery:?}");
    assert_eq!(delivery.tries, 2);
    let mail = sink.next();
    assert_eq!(
        (mail.from.as_str(), mail.login),
        ("backups@example.org", None)
    );
}

/// What is wrong, what the error has to say, how often it was tried, and whether there is a hint.
type Wrong<'a> = (Settings, &'a str, u32, bool);

#[tokio::test]
async fn what_goes_wrong_is_told_clearly_and_without_the_password() {
    let pki = Pki::generate();
    let strict = MailSink::start(MailEncryption::StartTls, &pki, Some((USER, PASSWORD)));
    let plain = MailSink::start(MailEncryption::None, &pki, None);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let trusting = |mail: &mut Mail| mail.ca_file = Some(pki.ca_cert());
    let wrong: Vec<Wrong<'_>> = vec![
        (
            settings(strict.port(), |mail| {
                trusting(mail);
                mail.password = Some("ein falsches Wort".into());
            }),
            "log in: the server answered 535 5.7.8 not known: ops@example.org (hidden)",
            1,
            false,
        ),
        (
            settings(plain.port(), trusting),
            "the server does not offer STARTTLS",
            1,
            true,
        ),
        (
            settings(plain.port(), |mail| mail.tls = Some(MailTls::None)),
            "log in: the server offers neither AUTH PLAIN nor AUTH LOGIN",
            1,
            false,
        ),
        (
            settings(strict.port(), |mail| {
                mail.ca_file = Some(pki.other_ca_cert())
            }),
            "STARTTLS: invalid peer certificate: UnknownIssuer",
            1,
            true,
        ),
        (
            settings(strict.port(), |mail| {
                mail.ca_file = Some("/nowhere.pem".into())
            }),
            "ca_file: /nowhere.pem: No such file",
            1,
            false,
        ),
        (
            settings(gone, trusting),
            "connect: Connection refused",
            3,
            false,
        ),
        (
            Settings {
                timeout: 1,
                retries: 0,
                ..settings(silent.local_addr().unwrap().port(), trusting)
            },
            "no answer within 1 s",
            1,
            false,
        ),
        (
            settings(strict.port(), |mail| {
                trusting(mail);
                mail.password = Some(pgstow::secret::SecretFrom::File("/nowhere".into()));
            }),
            "password: /nowhere: no such file",
            1,
            false,
        ),
    ];
    for (settings, says, tries, has_hint) in wrong {
        let notifier = Notifier::new(settings).unwrap();
        let delivery = one(notifier.send(&notice(Occasion::Failed)).await);
        let error = delivery.error.expect(says);
        assert!(error.message().starts_with(says), "{says}: {error}");
        assert_eq!(delivery.tries, tries, "{error}");
        assert_eq!(error.hint().is_some(), has_hint, "{error}");
        assert!(
            !format!("{error:?} {notifier:?}").contains("Wort"),
            "{error:?}"
        );
        assert!(delivery.channel.starts_with("mail by localhost:"));
        let check = one(notifier.check().await).error.expect(says);
        assert_eq!(check.message(), error.message());
    }
    assert!(strict.rest().is_empty() && plain.rest().is_empty());
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    let refused = |settings: Settings| settings.validate().unwrap_err();
    let error = refused(settings(25, |mail| mail.to = vec!["nobody".to_owned()]));
    assert_eq!(error.kind(), Kind::Usage);
    assert!(
        error
            .message()
            .starts_with("notification by mail: to = \"nobody\""),
        "{error}"
    );
    let error = refused(settings(25, |mail| {
        mail.host = "mail.example.org".to_owned();
        mail.tls = Some(MailTls::None);
    }));
    assert!(
        error.message().contains("in the clear") && error.hint().is_some(),
        "{error}"
    );
}
