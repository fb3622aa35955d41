//! The program is killed at its n-th request to a store: the next one is not in the way of a dead one,
//! and cleans up.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pgstow::repository::{Repository, Status};
use pgstow::storage::Store;

use crate::network::{Harm, Network};
use crate::scene::{assert_whole, shop};
use crate::servers::{Seaweed, opened};
use crate::support::{pgstow, run};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_request() {
    let server = Seaweed::get();
    let bucket = server.bucket();
    let url = format!("s3://{bucket}/nightly");
    let network = Network::new(server.port);
    let direct: Arc<dyn Store> = opened(&url, &server.settings());
    let command = |arguments: &[&str]| -> Command {
        let mut command = pgstow();
        command.envs(server.variables());
        command.env("AWS_S3_ENDPOINT", network.url());
        command.args(arguments).args(["--store", &url]);
        command
    };
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
        network.harm(number, Harm::Late);
        let mut child = backup()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while network.seen().len() < number && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
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
    // No ticket of a dead process is in the way.
    network.harm(usize::MAX, Harm::Late);
    run(&mut backup()).success();
    // What a process that has died had under way ends some time; after that its draft is dead.
    std::thread::sleep(Duration::from_secs(12));
    let pruned = run(&mut command(&["prune"])).success();
    assert!(pruned.stdout.contains("clean up"), "{}", pruned.stdout);
    let left = assert_whole(&direct, "in the end").await;
    assert!(left.iter().any(|it| it.1 == Status::Failed), "{left:?}");
    assert!(left.iter().all(|it| it.1 != Status::Running), "{left:?}");
    for folder in ["drafts", "locks"] {
        let litter = direct.list(folder).await.unwrap();
        assert!(litter.is_empty(), "{litter:?}");
    }
}
