//! A backup, a prune and a delete with one trouble at each of their calls in turn: what is there
//! afterwards is whole, and the next run cleans up.

use std::sync::Arc;

use pgstow::error::Kind;
use pgstow::ops::repository::{DeleteOptions, LastGood, delete};
use pgstow::report::Silent;
use pgstow::repository::{Repository, Status};
use pgstow::storage::Store;

use tokio_util::sync::CancellationToken;

use crate::double::{Double, Trouble};
use crate::scene::{age, assert_whole, back_up, files, local, prune_strictly};

fn harmed(inner: &Arc<dyn Store>, at: usize, trouble: Trouble) -> (Arc<Double>, Arc<dyn Store>) {
    let double = Arc::new(Double::new(Arc::clone(inner)).at(at, trouble));
    let store = Arc::clone(&double) as Arc<dyn Store>;
    (double, store)
}

/// A backup with this trouble at each call.
async fn each_backup(trouble: Trouble, from: usize) {
    let (home, inner) = local();
    back_up(&inner).await.unwrap();
    for number in from.. {
        let before = assert_whole(&inner, "before").await;
        let (double, store) = harmed(&inner, number, trouble);
        let made = back_up(&store).await;
        let seen = double.seen();
        if seen.len() < number {
            assert!(made.is_ok(), "{made:?}");
            assert!(number > 15, "only {number} calls: {seen:?}");
            return;
        }
        let what = format!("{trouble:?} at {number}, {}", seen[number - 1]);
        // What was reported complete is; what was not is in the list as such, or not at all.
        let repository = Repository::open(Arc::clone(&inner)).await.unwrap();
        let listed = repository.list().await.unwrap();
        assert_eq!(listed.problems, Vec::<String>::new(), "{what}");
        let complete: Vec<_> = listed
            .backups
            .iter()
            .filter(|it| it.status == Status::Completed)
            .map(|it| it.record.id.clone())
            .collect();
        let earlier = before.iter().filter(|it| it.1 == Status::Completed);
        let is_new = complete.len() > earlier.count();
        match &made {
            Ok(report) => assert!(complete.contains(&report.backup.record.id), "{what}"),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Storage, "{what}: {error}");
                // It may have been written in the moment of death.
                assert!(
                    !is_new || matches!(trouble, Trouble::Dead | Trouble::DeadAfter),
                    "{what}: {error}"
                );
            }
        }
        if trouble == Trouble::Late {
            assert!(made.is_ok(), "{what}: {made:?}");
        }
        // Time passes; the next run succeeds and cleans up.
        age(home.path());
        back_up(&inner).await.unwrap();
        prune_strictly(&inner).await.unwrap();
        assert_whole(&inner, &what).await;
        let left = files(home.path());
        let litter = left.iter().filter(|it| {
            it.contains("drafts/") || it.contains("locks/") || it.ends_with(".partial")
        });
        let litter: Vec<_> = litter.collect();
        assert!(litter.is_empty(), "{what}: {litter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_backup_fails() {
    each_backup(Trouble::Fails, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_backup_is_done_and_reported_failed() {
    each_backup(Trouble::DoneAndFails, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_backup_is_late() {
    each_backup(Trouble::Late, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_dies_before_a_call() {
    each_backup(Trouble::Dead, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_dies_after_a_call() {
    each_backup(Trouble::DeadAfter, 1).await;
}

/// Three backups of which a prune lets two go, with this trouble at each call.
async fn each_prune(trouble: Trouble) {
    let (home, inner) = local();
    for number in 1.. {
        while Repository::open(Arc::clone(&inner)).await.is_err()
            || assert_whole(&inner, "before").await.len() < 3
        {
            back_up(&inner).await.unwrap();
        }
        let (double, store) = harmed(&inner, number, trouble);
        let done = prune_strictly(&store).await;
        let seen = double.seen();
        if seen.len() < number {
            assert!(done.is_ok(), "{done:?}");
            assert!(number > 20, "only {number} calls: {seen:?}");
            return;
        }
        let what = format!("{trouble:?} at {number}, {}", seen[number - 1]);
        // The newest stays, whatever happens; what is half gone does not look whole.
        let left = assert_whole(&inner, &what).await;
        assert!(
            left.last().is_some_and(|it| it.1 == Status::Completed),
            "{what}: {left:?}"
        );
        age(home.path());
        prune_strictly(&inner).await.unwrap();
        let left = assert_whole(&inner, &what).await;
        assert_eq!(left.len(), 1, "{what}: {left:?}");
        let of_backups = |it: &&String| {
            ["archives/", "notes/", "drafts/", "locks/"]
                .iter()
                .any(|folder| it.contains(folder))
        };
        let files = files(home.path());
        let files: Vec<_> = files.iter().filter(of_backups).collect();
        assert_eq!(files.len(), 1, "{what}: {files:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_prune_fails() {
    each_prune(Trouble::Fails).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_prune_is_done_and_it_dies() {
    each_prune(Trouble::DeadAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_dies_after_a_call() {
    let (home, inner) = local();
    back_up(&inner).await.unwrap();
    for number in 1.. {
        let victim = back_up(&inner).await.unwrap().backup.record.id;
        let (double, store) = harmed(&inner, number, Trouble::DeadAfter);
        let repository = Repository::open(store).await;
        let done = match &repository {
            Ok(repository) => {
                let options = DeleteOptions {
                    last_good: LastGood::Keep,
                    reason: None,
                };
                let cancel = CancellationToken::new();
                delete(repository, &victim, &options, Arc::new(Silent), cancel).await
            }
            Err(_) => continue,
        };
        if double.seen().len() < number {
            assert!(done.is_ok(), "{done:?}");
            assert!(number > 15, "only {number} calls");
            return;
        }
        let what = format!("at {number}, {}", double.seen()[number - 1]);
        let left = assert_whole(&inner, &what).await;
        let begun = left
            .iter()
            .any(|it| it.0 == victim && it.1 == Status::Expired);
        let gone = left.iter().all(|it| it.0 != victim);
        let repository = Repository::open(Arc::clone(&inner)).await.unwrap();
        let log = repository.audit_log().await.unwrap();
        let named = log
            .records
            .iter()
            .any(|it| it.action.to_string() == "delete" && it.backups == [victim.to_string()]);
        assert!(named || (!begun && !gone), "{what}: gone without a trace");
        age(home.path());
        prune_strictly(&inner).await.unwrap();
        assert_whole(&inner, &what).await;
    }
}
