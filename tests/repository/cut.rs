//! A network that cuts answers in their middle while a backup is verified and restored: it is ridden out, and
//! what is not ridden out is no damage.

use std::process::Command;

use crate::network::{Harm, Network};
use crate::scene::{assert_whole, shop};
use crate::servers::{Seaweed, opened};
use crate::support::{assert_same_data, pgstow, run};

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_cut_while_a_backup_is_read() {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let url = format!("s3://{bucket}/nightly");
    let read = format!("GET /{bucket}/nightly/archives/");
    let network = Network::new(server.port);
    let command = |arguments: &[&str]| -> Command {
        let mut command = pgstow();
        command.envs(server.variables());
        command.env("AWS_S3_ENDPOINT", network.url());
        command.args(arguments).args(["--store", &url]);
        command
    };
    let database = shop().url();
    run(&mut command(&["backup", "-d", &database, "-j1"])).success();
    let harm = |number, harm| network.harm_one_of(&read, number, harm);
    let reads = || {
        let seen = network.seen();
        seen.iter().filter(|it| it.contains(&read)).count()
    };

    harm(usize::MAX, Harm::Late);
    run(&mut command(&["verify", "latest"])).success();
    let last = reads();
    assert!(last > 3, "{:?}", network.seen());
    for number in [2, last / 2, last] {
        for passing in [Harm::AnswerCut, Harm::AnswerLost] {
            harm(number, passing);
            run(&mut command(&["verify", "latest"])).success();
        }
        // What does not pass says nothing about the archive.
        harm(number, Harm::Refused(403));
        run(&mut command(&["verify", "latest"])).expect_code(7);
    }

    let restored = |number: usize, harmed: Harm, code: i32| {
        let target = shop().server().create_db("cut_short");
        let to = target.url();
        harm(number, harmed);
        let restore = ["restore", "latest", "--yes", "--no-delay", "-j1", "-d", &to];
        run(&mut command(&restore)).expect_code(code);
        if code == 0 {
            assert_same_data(shop(), &target);
        }
        reads()
    };
    let last = restored(usize::MAX, Harm::Late, 0);
    for number in [last / 2, last] {
        let _ = restored(number, Harm::AnswerCut, 0);
    }
    let _ = restored(last, Harm::Refused(403), 7);

    let direct = opened(&url, &server.settings());
    let left = assert_whole(&direct, "read with troubles").await;
    assert_eq!(left.len(), 1);
    let shown = run(&mut command(&["show", "latest", "--json"])).success();
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert!(
        shown["damage"].is_null() && shown["verified_at"].is_string(),
        "{shown}"
    );
}
