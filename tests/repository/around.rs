//! What happens around a backup: those who hear of it, and an end that was not planned.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use pgstow::error::{Error, Kind, Result};
use pgstow::ops::repository::{Aftermath, Ended, backup};
use pgstow::report::{Event, Level, Observer, Silent};
use pgstow::repository::{Backup, BackupType, Repository, Status};
use pgstow::storage::Store;
use tokio_util::sync::CancellationToken;

use crate::scene::{assert_whole, config, files, local, options};

/// Writes down what it hears, and fails.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    /// Fired when a backup begins.
    stops: Option<CancellationToken>,
}

impl Aftermath for Ear {
    fn name(&self) -> String {
        "an ear".to_owned()
    }

    fn started<'a>(
        &'a self,
        backup: &'a Backup,
        _repository: &'a Repository,
    ) -> BoxFuture<'a, Result<()>> {
        let heard = format!("started {}", backup.status);
        self.heard.lock().unwrap().push(heard);
        if let Some(stops) = &self.stops {
            stops.cancel();
        }
        Box::pin(async { Err(Error::new(Kind::Failed, "deaf")) })
    }

    fn ended<'a>(&'a self, ended: Ended<'a>) -> BoxFuture<'a, Result<()>> {
        let heard = format!(
            "ended {}, {}, before it {:?}",
            ended.backup.status,
            match ended.outcome {
                Ok(_) => "well".to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            },
            ended.previous.map(|it| it.status)
        );
        self.heard.lock().unwrap().push(heard);
        Box::pin(async { Err(Error::new(Kind::Failed, "deaf")) })
    }
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn event(&self, event: &Event) {
        if let Event::Message {
            level: Level::Warning,
            text,
            ..
        } = event
        {
            self.0.lock().unwrap().push(text.clone());
        }
    }
}

async fn heard(store: &Arc<dyn Store>, ear: Ear, observer: Arc<dyn Observer>) -> Vec<String> {
    let cancel = ear.stops.clone().unwrap_or_default();
    let ear = Arc::new(ear);
    let all = [Arc::clone(&ear) as Arc<dyn Aftermath>];
    let options = options(BackupType::Manual);
    let config = config();
    let made = backup(Arc::clone(store), &config, &options, &all, observer, cancel);
    let made = made.await;
    let heard = ear.heard.lock().unwrap().clone();
    let ended = if made.is_ok() { "well" } else { "ended failed" };
    assert!(heard.last().unwrap().contains(ended), "{heard:?} {made:?}");
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_of_a_backup_does_not_make_it_fail() {
    let (home, store) = local();
    let warnings = Arc::new(Warnings::default());
    let first = heard(&store, Ear::default(), warnings.clone()).await;
    assert_eq!(
        first,
        ["started running", "ended completed, well, before it None"]
    );
    assert_eq!(
        *warnings.0.lock().unwrap(),
        ["an ear: deaf", "an ear: deaf"]
    );

    // Interrupted: on record as failed, and nothing of it is left.
    let ear = Ear {
        stops: Some(CancellationToken::new()),
        ..Ear::default()
    };
    let second = heard(&store, ear, Arc::new(Silent)).await;
    assert_eq!(
        second[1],
        "ended failed, Interrupted, before it Some(Completed)"
    );
    let left = assert_whole(&store, "interrupted").await;
    assert_eq!(left.len(), 2);
    assert_eq!(left[1].1, Status::Failed);
    let litter = files(home.path());
    let litter: Vec<_> = litter
        .iter()
        .filter(|it| {
            ["drafts/", "locks/", ".partial"]
                .iter()
                .any(|part| it.contains(part))
        })
        .collect();
    assert!(litter.is_empty(), "{litter:?}");
    assert_eq!(files(&home.path().join("backups/archives")).len(), 1);

    // What failed and succeeds now is told as such; a refusal is heard of as well.
    let third = heard(&store, Ear::default(), Arc::new(Silent)).await;
    assert_eq!(third[1], "ended completed, well, before it Some(Failed)");
    let repository = Repository::open(Arc::clone(&store)).await.unwrap();
    let name = pgstow::repository::lock_of(config().database());
    let lock = repository.lock(&name, "a test").await.unwrap();
    let refused = heard(&store, Ear::default(), Arc::new(Silent)).await;
    assert_eq!(refused, ["ended failed, Refused, before it None"]);
    repository.unlock(lock).await.unwrap();
}
