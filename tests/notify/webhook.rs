//! Webhooks and pings.

use std::net::TcpListener;
use std::process::Command;

use pgstow::error::Kind;
use pgstow::notify::{Form, Notice, Notifier, Occasion, Ping, Settings, Webhook, Work};
use pgstow::secret::SecretFrom;
use serde_json::Value;

use crate::receiver::{Answer, Receiver};
use crate::support::run_with_input;
use crate::{delivered, notice, one};

const FINE: &[Answer] = &[Answer::Status(200, "")];

fn webhook(url: String, change: impl FnOnce(&mut Webhook)) -> Settings {
    let mut webhook = Webhook {
        url: url.as_str().into(),
        form: Form::Json,
        headers: Default::default(),
        sign_with: None,
        ca_file: None,
        on: [Occasion::Failed, Occasion::Recovered].into(),
    };
    change(&mut webhook);
    Settings {
        webhook: [("team".to_owned(), webhook)].into(),
        timeout: 5,
        retries: 1,
        ..Settings::default()
    }
}

fn ping(url: &str) -> Settings {
    Settings {
        ping: Some(Ping {
            url: url.into(),
            start: None,
            fail: None,
            ca_file: None,
        }),
        retries: 1,
        ..Settings::default()
    }
}

#[tokio::test]
async fn json_arrives_signed_and_with_headers() {
    let receiver = Receiver::start(FINE);
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, "signing key\n").unwrap();
    let notifier = Notifier::new(webhook(receiver.url("/hook/token?a=b"), |it| {
        it.headers = [("X-Team".to_owned(), "dba".into())].into();
        it.sign_with = Some(SecretFrom::File(key));
    }))
    .unwrap();
    delivered(notifier.check().await);
    delivered(notifier.send(&notice(Occasion::Failed)).await);
    let [check, request] = <[_; 2]>::try_from(receiver.requests()).unwrap();
    assert_eq!((check.method.as_str(), check.path.as_str()), ("GET", "/"));
    assert!(check.body.is_empty() && !check.headers.contains_key("x-team"));

    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/hook/token?a=b")
    );
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["x-team"], "dba");
    let json: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(
        (&json["event"], &json["work"]),
        (&"failed".into(), &"backup".into())
    );
    assert_eq!(json["database"], "shop Bcc: thief@example.org");
    assert_eq!(json["job"], "nightly");
    assert_eq!(json["started"], "2023-11-14T22:13:20Z");
    assert_eq!(json["seconds"], 42);
    assert!(!request.body.contains("geheim"));
    // Somebody else's arithmetic.
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-hmac", "signing key", "-r"]);
    let digest = run_with_input(&mut openssl, request.body.as_bytes()).success();
    let digest = digest.stdout.split_whitespace().next().unwrap();
    assert_eq!(
        request.headers["x-pgstow-signature"],
        format!("sha256={digest}")
    );
}

#[tokio::test]
async fn slack_gets_a_text_that_calls_nobody() {
    let receiver = Receiver::start(FINE);
    let notifier = Notifier::new(webhook(receiver.url("/services/T/B/x"), |it| {
        it.form = Form::Slack
    }))
    .unwrap();
    delivered(notifier.send(&notice(Occasion::Failed)).await);
    delivered(notifier.send_test(&notice(Occasion::Failed)).await);
    let [told, test] = <[_; 2]>::try_from(receiver.requests()).unwrap();
    let text = |body: &str| {
        let json: Value = serde_json::from_str(body).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 1);
        json["text"].as_str().unwrap().to_owned()
    };
    let told = text(&told.body);
    assert!(
        told.starts_with("backup of shop Bcc: thief@example.org on db1 failed\n"),
        "{told}"
    );
    assert!(
        told.contains("&lt;!channel&gt;") && !told.contains("<!"),
        "{told}"
    );
    assert!(text(&test.body).starts_with("test: "));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_the_rest_is_not() {
    const LATER: &[Answer] = &[Answer::Status(503, ""), Answer::Status(204, "")];
    let cases: [(&[Answer], u32, Option<&str>); 6] = [
        (LATER, 2, None),
        (
            &[Answer::Status(500, "")],
            2,
            Some("the answer was 500 Internal Server Error"),
        ),
        (
            &[Answer::Status(429, "")],
            2,
            Some("the answer was 429 Too Many Requests"),
        ),
        (
            &[Answer::Status(404, "")],
            1,
            Some("the answer was 404 Not Found"),
        ),
        (
            &[Answer::Status(
                302,
                "Location: http://127.0.0.1:1/token\r\n",
            )],
            1,
            Some("the answer was 302 Found: redirects are not followed"),
        ),
        (&[Answer::Silence], 2, Some("no answer within 1 s")),
    ];
    for (answers, tries, says) in cases {
        let receiver = Receiver::start(answers);
        let mut settings = webhook(receiver.url("/hook/token"), |_| {});
        if matches!(answers, [Answer::Silence]) {
            settings.timeout = 1;
        }
        let notifier = Notifier::new(settings).unwrap();
        let delivery = one(notifier.send(&notice(Occasion::Failed)).await);
        assert_eq!(delivery.tries, tries, "{delivery:?}");
        assert_eq!(receiver.requests().len(), tries as usize);
        let error = delivery.error.map(|it| it.message().to_owned());
        assert_eq!(error.as_deref(), says);
        assert!(delivery.channel.starts_with("webhook team at 127.0.0.1:"));
    }
}

#[tokio::test]
async fn no_error_shows_the_url() {
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("http://user:geheim@127.0.0.1:{gone}/T00/geheim?key=geheim");
    let notifier = Notifier::new(webhook(url.clone(), |_| {})).unwrap();
    let shown = format!(
        "{:?} {:?} {notifier:?}",
        notifier.send(&notice(Occasion::Failed)).await,
        notifier.check().await
    );
    assert!(
        shown.contains("refused") && !shown.contains("geheim"),
        "{shown}"
    );
    let notifier = Notifier::new(ping("http://no-such-host.invalid/geheim")).unwrap();
    let delivery = one(notifier.send(&notice(Occasion::Failed)).await);
    assert_eq!(delivery.channel, "ping at no-such-host.invalid");
    assert!(!format!("{delivery:?}").contains("geheim"), "{delivery:?}");
    for wrong in ["geheim", "ftp://geheim/x", "http://[geheim"] {
        let error = webhook(wrong.to_owned(), |_| {}).validate().unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
    }
    let error = webhook(url, |it| {
        it.headers = [("a b".to_owned(), "geheim".into())].into()
    });
    let error = error.validate().unwrap_err();
    assert_eq!(
        error.message(),
        "webhook team: header \"a b\": this cannot be the name of a header"
    );
    // Read when it is wanted: nothing is sent with half of its headers.
    let receiver = Receiver::start(FINE);
    let notifier = Notifier::new(webhook(receiver.url("/x"), |it| {
        it.headers = [("x-key".to_owned(), "a\u{1}geheim".into())].into();
    }))
    .unwrap();
    let error = one(notifier.send(&notice(Occasion::Failed)).await)
        .error
        .unwrap();
    assert_eq!(
        error.message(),
        "header \"x-key\": its value cannot be in a header"
    );
    assert!(receiver.requests().is_empty());
}

#[tokio::test]
async fn pings_say_start_success_and_fail() {
    let receiver = Receiver::start(FINE);
    let notifier = Notifier::new(ping(&receiver.url("/some-uuid/?rid=1"))).unwrap();
    delivered(notifier.check().await);
    for kind in [
        Occasion::Started,
        Occasion::Failed,
        Occasion::Succeeded,
        Occasion::Recovered,
    ] {
        delivered(notifier.send(&notice(kind)).await);
    }
    let prune = Notice {
        work: Work::Prune,
        ..notice(Occasion::Failed)
    };
    assert!(notifier.send(&prune).await.is_empty());
    assert!(
        notifier
            .send_test(&notice(Occasion::Failed))
            .await
            .is_empty()
    );
    let requests = receiver.requests();
    let paths: Vec<&str> = requests.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/",
            "/some-uuid/start?rid=1",
            "/some-uuid/fail?rid=1",
            "/some-uuid/?rid=1",
            "/some-uuid/?rid=1"
        ]
    );
    assert_eq!(
        requests[2].body,
        "connect to postgres://app:(hidden)@db/shop: . refused <!channel>"
    );
    assert!(requests[1].body.is_empty() && requests[3].body.is_empty());

    let own = Settings {
        ping: Some(Ping {
            url: receiver.url("/p?state=complete").as_str().into(),
            start: Some(receiver.url("/p?state=run").as_str().into()),
            fail: Some(receiver.url("/p?state=fail").as_str().into()),
            ca_file: None,
        }),
        ..Settings::default()
    };
    let notifier = Notifier::new(own).unwrap();
    for kind in [Occasion::Started, Occasion::Failed, Occasion::Succeeded] {
        delivered(notifier.send(&notice(kind)).await);
    }
    let paths: Vec<String> = receiver.requests()[5..]
        .iter()
        .map(|it| it.path.clone())
        .collect();
    assert_eq!(
        paths,
        ["/p?state=run", "/p?state=fail", "/p?state=complete"]
    );
}
