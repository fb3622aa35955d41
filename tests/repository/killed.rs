//! The program is killed at its n-th request to a store: the next one is not in the way of a dead one,
//! and cleans up. So it is with one whose time runs out while a request is under way.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pgstow::repository::{Repository, Status};
use pgstow::storage::{Overwrite, Put, Store};

use crate::network::{Harm, Network};
use crate::scene::{assert_whole, back_up, behind, local, shop};
use crate::servers::{Seaweed, opened};
use crate::support::{run, with_clock_of};

/// Waits until such requests were seen, or it has ended.
fn wait_for(network: &Network, seen: impl Fn(&[String]) -> bool, child: &mut Child) {
    while !seen(&network.seen()) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts it, and kills it when such requests were seen; whether it was still at work.
fn kill_when(network: &Network, seen: impl Fn(&[String]) -> bool, command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_for(network, seen, &mut child);
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Starts it, and kills it at this request; whether it was still at work.
fn kill_at(network: &Network, number: usize, command: &mut Command) -> bool {
    network.harm(number, Harm::Late);
    kill_when(network, |seen| seen.len() >= number, command)
}

/// Runs it while, when such requests were seen, its clock goes on by more than others wait for a holder of a lock;
/// its exit code, and what it says.
fn overtaken(
    network: &Network,
    seen: impl Fn(&[String]) -> bool,
    command: &mut Command,
) -> (Option<i32>, String) {
    let clock = tempfile::NamedTempFile::new().unwrap();
    fs::write(clock.path(), "+0s").unwrap();
    with_clock_of(command, clock.path());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for(network, seen, &mut child);
    fs::write(clock.path(), "+8m").unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended.status.code(), said)
}

async fn completed(store: &Arc<dyn Store>) -> Vec<String> {
    let repository = Repository::open(Arc::clone(store)).await.unwrap();
    let listing = repository.list().await.unwrap();
    assert_eq!(listing.problems, Vec::<String>::new());
    let good = listing
        .backups
        .iter()
        .filter(|it| it.status == Status::Completed);
    good.map(|it| it.record.id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_request() {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let url = format!("s3://{bucket}/nightly");
    let network = Network::new(server.port);
    let direct: Arc<dyn Store> = opened(&url, &server.settings());
    let command = |arguments: &[&str]| behind(&network, &url, arguments);
    let database = shop().url();
    let backup = || command(&["backup", "-d", &database, "-j1", "--quiet"]);
    network.harm(usize::MAX, Harm::Late);
    run(&mut backup()).success();
    let requests = network.seen().len();
    assert!(requests > 15, "{:?}", network.seen());
    let mut killed = 0;
    // Towards the end, where it is decided, at each of them.
    let early = (2..requests * 2 / 3).step_by(8);
    for number in early.chain((requests * 2 / 3..=requests).step_by(3)) {
        killed += usize::from(kill_at(&network, number, &mut backup()));
        let repository = Repository::open(Arc::clone(&direct)).await.unwrap();
        let listing = repository.list().await.unwrap();
        assert_eq!(listing.problems, Vec::<String>::new(), "{number}");
        for backup in &listing.backups {
            if backup.status == Status::Completed {
                repository.open_archive(backup).await.unwrap();
            }
        }
    }
    assert!(killed > 4, "only {killed} were killed");

    // While a request is under way, so much time goes by that others may take it for dead.
    let is_record = |line: &&String| line.starts_with("PUT") && line.contains("/backups/");
    let before = completed(&direct).await;
    network.harm(usize::MAX, Harm::Late);
    run(&mut backup()).success();
    let seen = network.seen();
    let record = seen.iter().position(|line| is_record(&line)).unwrap() + 1;
    let good = completed(&direct).await;
    assert_eq!(good.len(), before.len() + 1);
    // In the middle of the upload, and shortly before the record.
    for number in [record * 2 / 3, record - 4] {
        network.harm(number, Harm::VeryLate);
        let (code, said) = overtaken(&network, |seen| seen.len() >= number, &mut backup());
        assert_eq!(code, Some(7), "{number} of {seen:?}: {said}");
        assert!(said.contains("could not be renewed"), "{said}");
        assert_eq!(completed(&direct).await, good);
    }

    // In the middle of an upload in parts.
    let large = shop().server().create_db("large");
    large.psql(
        "CREATE TABLE t AS SELECT string_agg(sha512((n * 1000 + i)::text::bytea), '') AS bytes
         FROM generate_series(1, 200) AS n, generate_series(1, 1000) AS i GROUP BY n",
    );
    let (from, parts) = (large.url(), format!("s3://{bucket}/parts"));
    let options = [
        "backup",
        "-d",
        &from,
        "-j1",
        "--quiet",
        "--compress",
        "none",
    ];
    let mut command_of_parts = behind(&network, &parts, &options);
    command_of_parts.env("PGSTOW_PART_SIZE", "5MiB");
    network.harm_one_of("partNumber=2", 1, Harm::VeryLate);
    let arrived = |seen: &[String]| seen.iter().any(|it| it.contains("partNumber=2"));
    assert!(kill_when(&network, arrived, &mut command_of_parts));
    assert_eq!(server.unfinished(&bucket), 1);

    // No ticket of a dead process is in the way.
    network.harm(usize::MAX, Harm::Late);
    run(&mut backup()).success();
    // What a process that has died had under way ends some time; after that its draft is dead. One that no backup
    // has cleaned up behind it.
    assert!(kill_at(&network, requests / 2, &mut backup()));
    std::thread::sleep(Duration::from_secs(12));
    let pruned = run(&mut command(&["prune"])).success();
    assert!(pruned.stdout.contains("clean up"), "{}", pruned.stdout);
    // The ticket of its lock goes when the next one takes that.
    run(&mut backup()).success();
    let left = assert_whole(&direct, "in the end").await;
    assert!(left.iter().any(|it| it.1 == Status::Failed), "{left:?}");
    assert!(left.iter().all(|it| it.1 != Status::Running), "{left:?}");
    run(&mut behind(&network, &parts, &["prune"])).success();
    assert_eq!(server.unfinished(&bucket), 0);
    for folder in ["drafts", "locks"] {
        let litter = direct.list(folder).await.unwrap();
        assert!(litter.is_empty(), "{litter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_and_a_delete_are_killed_at_a_request() {
    // The same three backups, for each time in a place of their own.
    let (_home, made) = local();
    for _ in 0..3 {
        back_up(&made).await.unwrap();
    }
    let victim = completed(&made).await.swap_remove(0);
    let server = Seaweed::get();
    let bucket = server.bucket();
    let network = Network::new(server.port);
    let home = tempfile::tempdir().unwrap();
    fs::write(
        home.path().join("pgstow.toml"),
        "[retention]\ndaily_days = 0\nmanual_days = 0\nweekly_days = 0\nmonthly_days = 0\nkeep_verified = 0\n",
    )
    .unwrap();
    let command = |url: &str, arguments: &[&str]| -> Command {
        let mut command = behind(&network, url, arguments);
        command.current_dir(home.path()).arg("--quiet");
        command
    };
    // When so much time goes by that others may go on with what it has begun, it does not.
    let late = [
        (&["prune"][..], "DELETE", "archives"),
        (&["delete", &victim], "PUT", "notes"),
    ];
    for (arguments, method, folder) in late {
        let place = async |number: usize| {
            let url = format!("s3://{bucket}/{}-{number}", arguments[0]);
            let direct = opened(&url, &server.settings());
            for object in made.list("").await.unwrap() {
                let bytes = made.get(&object.key).await.unwrap().unwrap();
                let put = direct.put(&object.key, bytes, Overwrite::Replace);
                assert_eq!(put.await.unwrap(), Put::Written);
            }
            (url, direct)
        };
        network.harm(usize::MAX, Harm::Late);
        run(&mut command(&place(0).await.0, arguments)).success();
        let requests = network.seen().len();
        assert!(requests > 15, "{:?}", network.seen());
        let mut killed = 0;
        // At last it is not killed, but overtaken.
        for number in (3..requests).step_by(requests / 5).chain([requests + 1]) {
            let (url, direct) = place(number).await;
            if number <= requests {
                killed += usize::from(kill_at(&network, number, &mut command(&url, arguments)));
            } else {
                let late = format!("{method} /{bucket}/{}-{number}/{folder}/", arguments[0]);
                network.harm_one_of(&late, 1, Harm::VeryLate);
                let arrived = |seen: &[String]| seen.iter().any(|it| it.starts_with(&late));
                let (code, said) = overtaken(&network, arrived, &mut command(&url, arguments));
                assert_eq!(code, Some(7), "{said}");
                assert!(said.contains("could not be renewed"), "{said}");
                network.harm(usize::MAX, Harm::Late);
            }
            // What it had under way may still arrive.
            std::thread::sleep(Duration::from_millis(100));
            let what = format!("{arguments:?} at {number}");
            let left = assert_whole(&direct, &what).await;
            let newest = left.last().unwrap();
            assert_eq!(newest.1, Status::Completed, "{what}: {left:?}");
            run(&mut command(&url, &["prune"])).success();
            let left = assert_whole(&direct, &what).await;
            assert_eq!(left.len(), 1, "{what}: {left:?}");
            assert_eq!(direct.list("archives").await.unwrap().len(), 1, "{what}");
            for folder in ["drafts", "locks", "notes"] {
                let litter = direct.list(folder).await.unwrap();
                assert!(litter.is_empty(), "{what}: {litter:?}");
            }
        }
        assert!(killed > 2, "only {killed} were killed");
    }
}
