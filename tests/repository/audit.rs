//! The audit log finds what was done to it.

use std::fs;
use std::path::PathBuf;

use pgstow::repository::{Action, Repository, Verdict};

use crate::scene::local;

async fn scene() -> (tempfile::TempDir, Repository, Vec<PathBuf>) {
    let (home, store) = local();
    let repository = Repository::init(store).await.unwrap();
    for number in 0..4 {
        let detail = format!("number {number}");
        let noted = repository.audit(Action::Download, Vec::new(), Verdict::Done, detail);
        noted.await.unwrap();
    }
    let folder = home.path().join("backups/audit");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 5);
    let log = repository.audit_log().await.unwrap();
    assert_eq!(log.problems, Vec::<String>::new());
    (home, repository, paths)
}

#[tokio::test]
async fn a_missing_record_is_found() {
    for number in 0..5 {
        let (_home, repository, paths) = scene().await;
        fs::remove_file(&paths[number]).unwrap();
        let log = repository.audit_log().await.unwrap();
        assert!(
            log.problems.iter().any(|it| it.contains("is missing")),
            "{number}: {:?}",
            log.problems
        );
        // Still, when others were written after it.
        let noted = repository.audit(Action::Verify, Vec::new(), Verdict::Done, "later");
        noted.await.unwrap();
        let log = repository.audit_log().await.unwrap();
        assert!(!log.problems.is_empty(), "{number}");
    }
}

#[tokio::test]
async fn a_changed_record_is_found() {
    for number in 0..5 {
        let (_home, repository, paths) = scene().await;
        let text = fs::read_to_string(&paths[number]).unwrap();
        fs::write(&paths[number], text.replace("done", "failed")).unwrap();
        let log = repository.audit_log().await.unwrap();
        assert_eq!(log.problems.len(), 1, "{number}: {:?}", log.problems);
        assert!(log.problems[0].contains("was changed"));
    }
}

#[tokio::test]
async fn a_moved_and_an_added_record_are_found() {
    let (_home, repository, paths) = scene().await;
    let swap = paths[0].with_file_name("swap");
    fs::rename(&paths[1], &swap).unwrap();
    fs::rename(&paths[2], &paths[1]).unwrap();
    fs::rename(&swap, &paths[2]).unwrap();
    let log = repository.audit_log().await.unwrap();
    assert_eq!(log.problems.len(), 2, "{:?}", log.problems);

    // A record of another log, whole in itself.
    let (_home, repository, paths) = scene().await;
    let (_other, _, others) = scene().await;
    let name = others[2].file_name().unwrap();
    fs::copy(&others[2], paths[2].with_file_name(name)).unwrap();
    let log = repository.audit_log().await.unwrap();
    let put_in = log.problems.iter().any(|it| it.contains("put in"));
    assert!(put_in, "{:?}", log.problems);

    let (home, repository, _) = scene().await;
    fs::remove_file(home.path().join("backups/audit-heads.json")).unwrap();
    let log = repository.audit_log().await.unwrap();
    assert_eq!(log.problems, ["audit-heads.json is missing"]);
}
