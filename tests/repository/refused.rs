//! What is set up wrongly, or not allowed: each command says what it is and ends with 7, and what is in the store
//! stays as it was.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use pgstow::repository::Status;
use pgstow::storage::ObjectInfo;

use crate::network::{Harm, Network};
use crate::scene::{assert_whole, behind, shop};
use crate::servers::{SECRET, Seaweed, opened};
use crate::support::{Output, pgstow, run, with_clock};

#[track_caller]
fn assert_told(output: &Output, what: &str, url: &str) {
    let said = &output.stderr;
    assert!(said.contains(what), "{what}: {}: {said}", output.command);
    assert!(said.contains(url), "{url}: {}: {said}", output.command);
    assert!(
        !said.contains(SECRET) && !said.contains("wrong-secret"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_says_what_is_wrong_and_changes_nothing() {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let url = format!("s3://{bucket}/nightly");
    let network = Network::new(server.port);
    let expired = Network::new(server.port).always(Harm::Coded("ExpiredToken"));
    let database = shop().url();
    let backup = ["backup", "-d", &database, "-j1"];
    run(&mut behind(&network, &url, &backup)).success();
    let direct = opened(&url, &server.settings());
    let id = assert_whole(&direct, "made").await[0].0.to_string();
    let before: Vec<ObjectInfo> = direct.list("").await.unwrap();

    let target = shop().server().create_db("refused");
    let to = target.url();
    let restore = ["restore", "latest", "--yes", "--no-delay", "-d", &to];
    let commands = [
        &backup[..],
        &["backups"],
        &["verify", "latest"],
        &restore,
        &["download", "latest", "-f", "/nowhere/it"],
        &["prune"],
        &["delete", "--last", &id],
    ];
    for arguments in commands {
        let wrongly = |what: &str, change: &dyn Fn(&mut std::process::Command)| {
            let mut command = behind(&network, &url, arguments);
            change(&mut command);
            assert_told(&run(&mut command).expect_code(7), what, &url);
        };
        wrongly("rejects the credentials", &|command| {
            command.env("AWS_SECRET_ACCESS_KEY", "wrong-secret");
        });
        wrongly("does not know the access key", &|command| {
            command.env("AWS_ACCESS_KEY_ID", "AKIANOBODY");
        });
        wrongly("have expired", &|command| {
            command.env("AWS_S3_ENDPOINT", expired.url());
        });
        wrongly("clock and the store's differ", &|command| {
            with_clock(command, "-2h")
        });
        let nowhere = "s3://no-such-bucket/nightly";
        let unknown = run(&mut behind(&network, nowhere, arguments)).expect_code(7);
        assert_told(&unknown, "there is no bucket no-such-bucket", nowhere);
        assert_eq!(direct.list("").await.unwrap(), before, "{arguments:?}");
    }

    // Who may only read can read, and is told that the log could not be written.
    for (arguments, code) in commands.into_iter().zip([7, 0, 0, 0, 7, 7, 7]) {
        let mut command = behind(&network, &url, arguments);
        command.env("AWS_ACCESS_KEY_ID", "AKIAREADER");
        let output = run(&mut command).expect_code(code);
        if code == 7 && arguments[0] != "download" {
            assert_told(&output, "permission denied", &url);
        }
        assert_eq!(direct.list("").await.unwrap(), before, "{arguments:?}");
    }

    // What goes wrong in the middle: on record as a failure, and nothing of the archive is there.
    let upload = format!("PUT /{bucket}/nightly/archives/");
    for (code, what) in [
        ("ExpiredToken", "have expired"),
        ("QuotaExceeded", "is full"),
    ] {
        network.harm_one_of(&upload, 1, Harm::Coded(code));
        let failed = run(&mut behind(&network, &url, &backup)).expect_code(7);
        assert_told(&failed, what, &url);
    }
    let left = assert_whole(&direct, "refused in the middle").await;
    let status: Vec<Status> = left.into_iter().map(|it| it.1).collect();
    assert_eq!(status, [Status::Completed, Status::Failed, Status::Failed]);
    assert_eq!(direct.list("archives").await.unwrap().len(), 1);
    assert_eq!(direct.list("drafts").await.unwrap(), []);
}

/// Whoever is told to end, and waits for a store that does not answer, ends.
#[test]
fn an_interruption_is_heard_where_the_store_is_silent() {
    // Connections are made by the system; nobody takes them up.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let home = tempfile::tempdir().unwrap();
    let database = shop().url();
    let id = "20261122T030000Z-1f2e3d4c";
    let commands = [
        &["backup", "-d", &database][..],
        &["prune"],
        &["delete", id],
        &["pin", "latest"],
        &["unpin", "latest"],
        &["rebuild"],
        &["init"],
    ];
    let mut running: Vec<_> = commands
        .iter()
        .map(|arguments| {
            let mut command = pgstow();
            command.envs(Seaweed::get().variables()).args(*arguments);
            command.args(["--store", "s3://bucket/x"]);
            command.env("AWS_S3_ENDPOINT", &endpoint);
            command.current_dir(home.path()).stderr(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    // All of them are at work by then.
    std::thread::sleep(Duration::from_secs(2));
    for child in &running {
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
    }
    for (child, arguments) in running.iter_mut().zip(commands) {
        let ended = child.wait().unwrap();
        assert_eq!(ended.code(), Some(130), "{arguments:?}");
    }
}
