//! What every session of a restore is set to.

use std::sync::{Arc, Mutex};

use crate::connect::{Canceller, Config, Wire};
use crate::error::{Context, Error, Kind, Result};
use crate::sql::{ident, literal};
use crate::task::{cores, lock};

/// What the sessions of a restore share of the server's means for building indexes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) jobs: usize,
    /// For all of them together.
    pub(super) memory_bytes: u64,
}

impl Share {
    /// What `maintenance_work_mem` is raised to, in kilobytes; none where the server's own is as large.
    /// One command keeps to it with all of its parallel workers.
    fn maintenance_kb(self, own_kb: u64) -> Option<u64> {
        // The most that the server takes.
        let most = u64::from(i32::MAX.unsigned_abs());
        let share = (self.memory_bytes >> 10) / self.jobs.max(1) as u64;
        Some(share.min(most)).filter(|&share| share > own_kb)
    }

    /// What `max_parallel_maintenance_workers` is lowered to; none where it is low enough. The server
    /// has one pool of parallel workers: who comes first would have those of all others.
    fn parallel_workers(self, own: u64, pool: u64) -> Option<u64> {
        let share = (pool / self.jobs.max(1) as u64).max(1);
        Some(share).filter(|&share| share < own)
    }
}

/// Whether sessions that build side by side keep all of the server's cores busy, as far as they are known: where
/// it is on this machine. Then a build by several processes only costs more: each worker of its own has to be started,
/// and what it has sorted is written and merged.
fn fill_cores(jobs: usize, cores: usize, same_machine: bool, source: &str) -> bool {
    // Somebody has set how many workers there may be: that is theirs to decide.
    same_machine && jobs > 1 && jobs >= cores && source == "default"
}

/// A statement that builds by itself.
pub(super) const WITHOUT_WORKERS: &str =
    "SELECT pg_catalog.set_config('max_parallel_maintenance_workers', '0', true)";

/// Whether the server is on the machine of its client.
const SAME_MACHINE: &str = "\
SELECT pg_catalog.inet_server_addr() IS NULL \
OR pg_catalog.inet_server_addr() = pg_catalog.inet_client_addr()";

/// What a statement that sorts keys is given, instead of what its session has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SortMemory {
    own_kb: u64,
    most_kb: u64,
}

/// What sorts in the processor's caches sorts faster than what has much memory, as long as its runs can be merged
/// at once: each takes about so much then.
const MERGED_KB: u64 = 256;

impl SortMemory {
    /// None where somebody has set the server's own memory: that is theirs to decide.
    fn new(own_kb: u64, source: &str, share: Share) -> Option<Self> {
        let most_kb = share.maintenance_kb(own_kb).unwrap_or(own_kb);
        (source == "default").then_some(Self { own_kb, most_kb })
    }

    /// For so many bytes of rows. Not less than the server would give: an index is built by as many processes as
    /// have 32 MB each, and by one process it takes longer wherever a core is free.
    pub(super) fn kb_for(self, bytes: u64) -> u64 {
        let runs = (bytes >> 10).saturating_mul(MERGED_KB).isqrt();
        runs.clamp(self.own_kb, self.most_kb)
    }
}

/// Settings that must have these values whatever role, database or server say; those a server
/// does not know are left out. `DateStyle` and `IntervalStyle` are not among them: what an archive holds is read alike
/// under any, and what a restore computes (stored generated columns, keys of indexes, what triggers write) is to be
/// what the database would.
const FIXED: [(&str, &str); 21] = [
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("standard_conforming_strings", "on"),
    ("search_path", ""),
    ("check_function_bodies", "off"),
    ("xmloption", "content"),
    ("client_min_messages", "warning"),
    ("row_security", "off"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("default_tablespace", ""),
    // What is written in the archive was read with these.
    ("lc_monetary", "C"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("backslash_quote", "safe_encoding"),
    ("escape_string_warning", "off"),
    // A restore that the server lost is begun again in any case; the last commit waits for all.
    ("synchronous_commit", "off"),
];

/// Those of [`FIXED`] that the archive's text needs, and a query that runs by itself does not.
const FOR_TEXT: [&str; 5] = [
    "lc_monetary",
    "array_nulls",
    "transform_null_equals",
    "backslash_quote",
    "escape_string_warning",
];

/// Statements around a query whose rows are kept: it is to run under the database's own settings, as each later
/// refresh does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnSettings {
    pub(super) before: String,
    pub(super) after: String,
}

impl OwnSettings {
    /// `differing`: those of the session that are not as they would be by themselves.
    fn new(differing: &[(&str, &str)]) -> Option<Self> {
        let differing: Vec<_> = differing
            .iter()
            .filter(|(name, _)| FOR_TEXT.contains(name))
            .collect();
        if differing.is_empty() {
            return None;
        }
        // For the transaction alone; no value is the one that the session began with.
        let all = |value: fn(&str) -> String| {
            let calls: Vec<String> = differing
                .iter()
                .map(|(name, fixed)| {
                    format!(
                        "pg_catalog.set_config({}, {}, true)",
                        literal(name),
                        value(fixed)
                    )
                })
                .collect();
            format!("SELECT {}", calls.join(", "))
        };
        Some(Self {
            before: all(|_| "NULL".to_owned()),
            after: all(literal),
        })
    }
}

/// The statements that set up a session.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    statements: Vec<String>,
    /// None where they are what the session has.
    pub(super) own_settings: Option<OwnSettings>,
    pub(super) sort_memory: Option<SortMemory>,
    /// See [`fill_cores`].
    pub(super) fills_cores: bool,
}

impl Setup {
    /// Asks the server which settings it knows.
    pub(super) async fn ask(
        wire: &mut Wire,
        encoding: &str,
        role: Option<&str>,
        share: Share,
    ) -> Result<Self> {
        let known = wire
            .query(
                // As it was at the login, which is what the others begin with.
                "SELECT lower(name), reset_val, source FROM pg_catalog.pg_settings \
                 WHERE context = 'user' OR name = 'row_security'",
            )
            .await
            .context_with(|| "read settings")?;
        let column_of = |name: &str, column: usize| {
            known
                .iter()
                .find(|row| row[0].as_deref() == Some(&name.to_lowercase()))
                .map(|row| row.get(column).cloned().flatten().unwrap_or_default())
        };
        let value_of = |name: &str| column_of(name, 1);
        // set_config takes what SET would need in several spellings, the empty list too.
        let set = |name: &str, value: &str| {
            format!(
                "SELECT pg_catalog.set_config({}, {}, false)",
                literal(name),
                literal(value)
            )
        };
        let mut statements = vec![set("client_encoding", wire.encoding_for(encoding))];
        // What is as it should be is left alone: some servers do not let it be set at all.
        let differing: Vec<(&str, &str)> = FIXED
            .into_iter()
            .filter(|(name, value)| value_of(name).is_some_and(|current| current != *value))
            .collect();
        statements.extend(differing.iter().map(|(name, value)| set(name, value)));
        let number = |name: &str| -> Option<u64> { value_of(name)?.parse().ok() };
        if let Some(own_kb) = number("maintenance_work_mem")
            && let Some(kb) = share.maintenance_kb(own_kb)
        {
            statements.push(set("maintenance_work_mem", &format!("{kb}kB")));
        }
        let sort_memory = match (
            number("maintenance_work_mem"),
            column_of("maintenance_work_mem", 2),
        ) {
            (Some(own_kb), Some(source)) => SortMemory::new(own_kb, &source, share),
            _ => None,
        };
        let same_machine = wire
            .query(SAME_MACHINE)
            .await
            .context_with(|| "ask where the server is")?;
        let same_machine = same_machine
            .first()
            .and_then(|row| row.first())
            .is_some_and(|value| value.as_deref() == Some("t"));
        let workers = "max_parallel_maintenance_workers";
        let source = column_of(workers, 2).unwrap_or_default();
        let fills_cores = fill_cores(share.jobs, cores(), same_machine, &source);
        if let (Some(own), Some(pool)) = (number(workers), number("max_parallel_workers"))
            && let Some(share) = share.parallel_workers(own, pool)
        {
            statements.push(set(workers, &share.to_string()));
        }
        if let Some(role) = role {
            statements.push(format!("SET ROLE {}", ident(role)));
        }
        Ok(Self {
            statements,
            own_settings: OwnSettings::new(&differing),
            sort_memory,
            fills_cores,
        })
    }

    /// Sets a session up.
    pub(super) async fn apply(&self, wire: &mut Wire) -> Result<()> {
        let statements: Vec<&str> = self.statements.iter().map(String::as_str).collect();
        wire.execute_all(&statements).await.map_err(|batch| {
            let statement = self.statements.get(batch.index).cloned();
            batch
                .error
                .context("set up session")
                .with_statement(statement.unwrap_or_default())
        })
    }
}

/// Opens a session; `role` is its part: `restore`, `restore worker 2`.
pub(super) async fn open(config: &Config, part: &str) -> Result<Wire> {
    config
        .with_application_name_suffix(part)
        .connect_wire()
        .await
}

/// Opens a session that asks before anything is set up. What a role or a database bears for its own queries is no
/// measure for questions that look at hundreds of files.
pub(crate) async fn open_to_ask(config: &Config, part: &str) -> Result<Wire> {
    let mut wire = open(config, part).await?;
    let mut timeouts = vec![
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
    ];
    for (name, since) in [("idle_session_timeout", 14), ("transaction_timeout", 17)] {
        if wire.server_version().at_least(since) {
            timeouts.push(name);
        }
    }
    let off = timeouts.iter().map(|name| {
        let name = literal(name);
        format!("pg_catalog.set_config({name}, '0', false)")
    });
    let off = off.collect::<Vec<_>>().join(", ");
    wire.execute(&format!("SELECT {off}"))
        .await
        .context_with(|| "set up session")?;
    Ok(wire)
}

/// The sessions commit without waiting for the disk. One commit that waits, behind all of theirs in
/// the write-ahead log, makes every one of them durable. It must write something: a large object
/// that is made and unlinked at once needs no right and leaves nothing.
pub(super) async fn make_durable(wire: &mut Wire) -> Result<()> {
    wire.execute("SET synchronous_commit = on").await?;
    wire.execute("SELECT pg_catalog.lo_unlink(pg_catalog.lo_create(0))")
        .await?;
    Ok(())
}

/// The part of the session on this seat, as the server shows it.
pub(super) fn part(seat: u32) -> String {
    match seat {
        1 => "restore".to_owned(),
        number => format!("restore worker {number}"),
    }
}

/// Cancels what a session runs, even when another one has come into its place meanwhile.
#[derive(Clone)]
pub(super) struct Reach(Arc<Mutex<Canceller>>);

impl Reach {
    /// As [`Canceller::cancel`].
    pub(super) async fn cancel(&self) -> Result<()> {
        let canceller = lock(&self.0).clone();
        canceller.cancel().await
    }
}

impl From<Canceller> for Reach {
    fn from(canceller: Canceller) -> Self {
        Self(Arc::new(Mutex::new(canceller)))
    }
}

/// A session at work, which can be opened again when it is lost.
pub(super) struct Session {
    pub(super) wire: Wire,
    /// Its number, from 1: the one that makes the definitions.
    pub(super) seat: u32,
    /// How often it was lost during the work that it does now.
    pub(super) losses: u32,
    reach: Reach,
}

impl Session {
    pub(super) fn new(wire: Wire, seat: u32) -> Self {
        Self {
            reach: wire.canceller().into(),
            wire,
            seat,
            losses: 0,
        }
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach.clone()
    }

    /// Goes on with a new connection.
    pub(super) fn replace(&mut self, wire: Wire) {
        *lock(&self.reach.0) = wire.canceller();
        self.wire = wire;
    }

    /// Whether the connection has ended with this error, and not by our own doing.
    pub(super) fn is_lost(&self, error: &Error) -> bool {
        self.wire.is_broken() && matches!(error.kind(), Kind::ConnectionLost | Kind::Server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_share_what_they_may_take() {
        let share = |jobs, mib: u64| Share {
            jobs,
            memory_bytes: mib << 20,
        };
        let mb = 1024;
        assert_eq!(share(2, 256).maintenance_kb(64 * mb), Some(128 * mb));
        assert_eq!(share(1, 2048).maintenance_kb(64 * mb), Some(2048 * mb));
        // What the server has is not lowered.
        assert_eq!(share(4, 256).maintenance_kb(64 * mb), None);
        assert_eq!(share(8, 256).maintenance_kb(64 * mb), None);
        assert_eq!(
            share(1, 4 << 20).maintenance_kb(64 * mb),
            Some(2_147_483_647)
        );
        let sorts = SortMemory::new(64 * mb, "default", share(2, 256)).unwrap();
        for (bytes, kb) in [(0, 64 * mb), (1 << 30, 64 * mb), (100 << 30, 128 * mb)] {
            assert_eq!(sorts.kb_for(bytes), kb);
        }
        assert_eq!(sorts.kb_for(25 << 30), 80 * mb);
        let theirs = SortMemory::new(64 * mb, "configuration file", share(2, 256));
        assert_eq!(theirs, None);
        // Two workers for a command and eight in all are what a server has by itself.
        assert_eq!(share(4, 256).parallel_workers(2, 8), None);
        assert_eq!(share(5, 256).parallel_workers(2, 8), Some(1));
        assert_eq!(share(30, 256).parallel_workers(2, 8), Some(1));
        assert_eq!(share(30, 256).parallel_workers(0, 8), None);
        assert_eq!(share(3, 256).parallel_workers(8, 16), Some(5));
    }

    #[test]
    fn what_the_archives_text_needs_is_set_apart() {
        assert_eq!(OwnSettings::new(&[("search_path", "")]), None);
        let own = OwnSettings::new(&[("search_path", ""), ("lc_monetary", "C")]).unwrap();
        assert_eq!(
            own.before,
            "SELECT pg_catalog.set_config('lc_monetary', NULL, true)"
        );
        assert_eq!(
            own.after,
            "SELECT pg_catalog.set_config('lc_monetary', 'C', true)"
        );
        let is_fixed = |name: &&str| FIXED.iter().any(|(fixed, _)| fixed == name);
        assert!(FOR_TEXT.iter().all(is_fixed));
    }

    #[test]
    fn sessions_that_fill_the_cores_of_this_machine_build_alone() {
        assert!(fill_cores(2, 2, true, "default"));
        assert!(fill_cores(8, 2, true, "default"));
        assert!(!fill_cores(1, 1, true, "default"));
        assert!(!fill_cores(2, 4, true, "default"));
        assert!(!fill_cores(2, 2, false, "default"));
        assert!(!fill_cores(2, 2, true, "configuration file"));
    }
}
