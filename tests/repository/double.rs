//! A store that fails at the call that it is told, or from there on; and one that ignores conditions.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use pgstow::error::{Error, Kind, Result};
use pgstow::storage::{ObjectInfo, Overwrite, Put, Sink, Source, Store};

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// It is not done, and fails.
    Fails,
    /// It is done, and reported failed.
    DoneAndFails,
    /// It is done, after a while.
    Late,
    /// It is not done, nor is anything after it: as if the process had been killed.
    Dead,
    /// It is done, and nothing after it is.
    DeadAfter,
}

struct Plan {
    at: usize,
    trouble: Trouble,
}

pub struct Double {
    inner: Arc<dyn Store>,
    state: Arc<State>,
    ignores_conditions: bool,
}

struct State {
    plan: Mutex<Option<Plan>>,
    calls: AtomicUsize,
    seen: Mutex<Vec<String>>,
    dead: AtomicBool,
}

fn failed(what: &str) -> Error {
    Error::new(Kind::Storage, format!("{what}: made to fail"))
}

impl State {
    /// What happens to this call.
    fn call(&self, what: String) -> Option<Trouble> {
        if self.dead.load(Ordering::SeqCst) {
            return Some(Trouble::Dead);
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.lock().unwrap().push(what);
        let plan = self.plan.lock().unwrap();
        let trouble = plan
            .as_ref()
            .filter(|plan| plan.at == number)
            .map(|plan| plan.trouble);
        if matches!(trouble, Some(Trouble::Dead | Trouble::DeadAfter)) {
            self.dead.store(true, Ordering::SeqCst);
        }
        trouble
    }

    async fn through<T>(
        &self,
        what: String,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.call(what.clone()) {
            None => work.await,
            Some(Trouble::Late) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                work.await
            }
            Some(Trouble::Fails | Trouble::Dead) => Err(failed(&what)),
            Some(Trouble::DoneAndFails | Trouble::DeadAfter) => {
                // What failed of itself tells so.
                work.await?;
                Err(failed(&what))
            }
        }
    }
}

impl Double {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            state: Arc::new(State {
                plan: Mutex::new(None),
                calls: AtomicUsize::new(0),
                seen: Mutex::new(Vec::new()),
                dead: AtomicBool::new(false),
            }),
            ignores_conditions: false,
        }
    }

    /// Harms the call of this number, counted from 1.
    pub fn at(self, at: usize, trouble: Trouble) -> Self {
        *self.state.plan.lock().unwrap() = Some(Plan { at, trouble });
        self
    }

    pub fn without_conditions(mut self) -> Self {
        self.ignores_conditions = true;
        self
    }

    /// The calls so far.
    pub fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }

    fn condition(&self, overwrite: Overwrite) -> Overwrite {
        if self.ignores_conditions {
            Overwrite::Replace
        } else {
            overwrite
        }
    }
}

struct DoubleSink {
    inner: Option<Box<dyn Sink>>,
    state: Arc<State>,
    written: bool,
    key: String,
}

impl Sink for DoubleSink {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        let first = !std::mem::replace(&mut self.written, true);
        let state = Arc::clone(&self.state);
        let what = format!("write {}", self.key);
        Box::pin(async move {
            let inner = self.inner.as_mut().unwrap();
            if first {
                state.through(what, inner.write(bytes)).await
            } else if state.dead.load(Ordering::SeqCst) {
                Err(failed(&what))
            } else {
                inner.write(bytes).await
            }
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        let state = Arc::clone(&self.state);
        let what = format!("finish {}", self.key);
        let inner = self.inner.take().unwrap();
        Box::pin(async move { state.through(what, inner.finish()).await })
    }

    fn settled(&self) -> BoxFuture<'static, ()> {
        self.inner.as_ref().unwrap().settled()
    }
}

struct DoubleSource {
    inner: Arc<dyn Source>,
    state: Arc<State>,
}

impl Source for DoubleSource {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, Result<Bytes>> {
        let what = format!("read {}", self.inner.name());
        Box::pin(async move {
            let reading = self.inner.read_at(offset, length);
            self.state.through(what, reading).await
        })
    }
}

impl Store for Double {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        Box::pin(
            self.state
                .through(format!("head {key}"), self.inner.head(key)),
        )
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(
            self.state
                .through(format!("get {key}"), self.inner.get(key)),
        )
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        overwrite: Overwrite,
    ) -> BoxFuture<'a, Result<Put>> {
        let put = self.inner.put(key, bytes, self.condition(overwrite));
        Box::pin(self.state.through(format!("put {key}"), put))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<()>> {
        let delete = self.inner.delete(key);
        Box::pin(self.state.through(format!("delete {key}"), delete))
    }

    fn sweep<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<()>> {
        let sweep = self.inner.sweep(key);
        Box::pin(self.state.through(format!("sweep {key}"), sweep))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        let list = self.inner.list(prefix);
        Box::pin(self.state.through(format!("list {prefix}"), list))
    }

    fn create<'a>(
        &'a self,
        key: &'a str,
        overwrite: Overwrite,
    ) -> BoxFuture<'a, Result<Box<dyn Sink>>> {
        let create = self.inner.create(key, self.condition(overwrite));
        let state = Arc::clone(&self.state);
        let opening = self.state.through(format!("create {key}"), create);
        let key = key.to_owned();
        Box::pin(async move {
            Ok(Box::new(DoubleSink {
                inner: Some(opening.await?),
                state,
                written: false,
                key,
            }) as Box<dyn Sink>)
        })
    }

    fn open<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Arc<dyn Source>>> {
        let opening = self
            .state
            .through(format!("open {key}"), self.inner.open(key));
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            Ok(Arc::new(DoubleSource {
                inner: opening.await?,
                state,
            }) as Arc<dyn Source>)
        })
    }
}
