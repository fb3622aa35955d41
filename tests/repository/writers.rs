//! Two who write at once, on a store that ignores conditions.

use std::sync::Arc;

use pgstow::error::Kind;
use pgstow::repository::{Action, Repository, Verdict};
use pgstow::storage::Store;

use crate::double::Double;
use crate::scene::{age, assert_whole, back_up, local};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_backups_of_a_database_one_goes_on() {
    let (_home, inner) = local();
    let store = || Arc::new(Double::new(Arc::clone(&inner)).without_conditions()) as Arc<dyn Store>;
    Repository::init(store()).await.unwrap();
    let (one, other) = (store(), store());
    let (one, other) = tokio::join!(back_up(&one), back_up(&other));
    let ends = [one, other];
    assert!(ends.iter().any(Result::is_ok), "{ends:?}");
    for refused in ends.iter().filter_map(|it| it.as_ref().err()) {
        assert_eq!(refused.kind(), Kind::Refused, "{refused}");
        assert!(refused.message().contains("held by"), "{refused}");
    }
    let made = ends.iter().filter(|it| it.is_ok()).count();
    assert_eq!(assert_whole(&inner, "two").await.len(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_held_by_one_at_a_time() {
    let (home, inner) = local();
    let store = || Arc::new(Double::new(Arc::clone(&inner)).without_conditions()) as Arc<dyn Store>;
    let repository = Repository::init(store()).await.unwrap();
    let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (repository, inside) = (repository.clone(), Arc::clone(&inside));
        tasks.spawn(async move {
            let mut taken = 0;
            for _ in 0..4 {
                match repository.lock("some", "a test").await {
                    Ok(lock) => {
                        use std::sync::atomic::Ordering::SeqCst;
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "two are inside");
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                        inside.fetch_sub(1, SeqCst);
                        repository.unlock(lock).await.unwrap();
                        taken += 1;
                    }
                    Err(error) => assert_eq!(error.kind(), Kind::Refused, "{error}"),
                }
            }
            taken
        });
    }
    let taken: usize = tasks.join_all().await.into_iter().sum();
    assert!(taken > 0, "nobody ever had it");
    // A holder that died is forgotten.
    let lock = repository.lock("some", "a test").await.unwrap();
    drop(lock);
    let refused = repository.lock("some", "another").await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused);
    age(home.path());
    let lock = repository.lock("some", "another").await.unwrap();
    repository.unlock(lock).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_write_the_audit_log_at_once() {
    let (_home, inner) = local();
    let store = Arc::new(Double::new(Arc::clone(&inner)).without_conditions());
    let repository = Repository::init(store).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..6 {
        let repository = repository.clone();
        tasks.spawn(async move {
            for _ in 0..5 {
                let detail = format!("of {number}");
                let noted = repository.audit(Action::Verify, Vec::new(), Verdict::Done, detail);
                noted.await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let noted = repository.audit(Action::Verify, Vec::new(), Verdict::Done, "the last one");
    noted.await.unwrap();
    let log = repository.audit_log().await.unwrap();
    assert_eq!(log.problems, Vec::<String>::new());
    assert_eq!(log.records.len(), 1 + 30 + 1);
}
