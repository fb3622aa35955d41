//! A network that cuts answers in their middle while a backup is made, verified and restored: it is ridden out, and
//! what is not ridden out is no damage.

use std::sync::Arc;

use pgstow::repository::Status;
use pgstow::storage::Store;

use crate::network::{Harm, Network};
use crate::scene::{assert_whole, back_up, behind, shop};
use crate::servers::{Seaweed, opened};
use crate::support::{assert_same_data, run};

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_cut_while_a_backup_is_read() {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let url = format!("s3://{bucket}/nightly");
    let read = format!("GET /{bucket}/nightly/archives/");
    let network = Network::new(server.port);
    let command = |arguments: &[&str]| behind(&network, &url, arguments);
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

/// Every request of a backup in turn has its answer cut, or lost, or is refused for the moment: the backup is
/// made all the same, and once. A few at a time, each in a place of its own.
#[tokio::test(flavor = "multi_thread")]
async fn each_answer_of_a_backup_is_cut() {
    const AT_ONCE: usize = 4;
    let server = Seaweed::get();
    let bucket = server.bucket();
    let mut tasks = tokio::task::JoinSet::new();
    for first in 1..=AT_ONCE {
        let url = format!("s3://{bucket}/{first}");
        tasks.spawn(async move {
            let network = Network::new(server.port);
            let settings = server.settings();
            let direct = opened(&url, &settings);
            let harmed: Arc<dyn Store> =
                opened(&url, &settings.with("AWS_S3_ENDPOINT", network.url()));
            network.harm(usize::MAX, Harm::Late);
            back_up(&harmed).await.unwrap();
            let mut made = 1;
            for number in (first..).step_by(AT_ONCE) {
                let harm = [Harm::AnswerCut, Harm::DoneAndRefused(503), Harm::AnswerLost];
                let harm = harm[number % harm.len()];
                network.harm(number, harm);
                let done = back_up(&harmed).await;
                made += 1;
                let seen = network.seen();
                let what = format!("{harm:?} at {number} of {seen:?}");
                assert!(done.is_ok(), "{what}: {done:?}");
                if seen.len() < number {
                    assert!(number > 15, "{what}");
                    break;
                }
            }
            let left = assert_whole(&direct, "cut").await;
            assert_eq!(left.len(), made);
            assert!(left.iter().all(|it| it.1 == Status::Completed), "{left:?}");
            for folder in ["drafts", "locks"] {
                assert_eq!(direct.list(folder).await.unwrap(), [], "{folder}");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}
