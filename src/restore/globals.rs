//! Roles, tablespaces and the like: made before the database, what is there already left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;

use super::failure::{is_fatal, of_statement};
use super::options::OnError;
use super::outcome::Outcome;
use super::serial::unless_cancelled;
use super::shared::Shared;
use crate::archive::{Entry, Manifest};
use crate::connect::Wire;
use crate::ddl::globals::granted;
use crate::error::{Context, Error, Kind, Result, one_line};
use crate::report::Event;
use crate::select::Globals;
use crate::sql::{RESET_ROLE, ident};

/// Those of an archive's globals that are wanted of it.
///
/// # Errors
/// [`Kind::Refused`] when the archive does not have what is wanted of it.
pub(crate) fn wanted(
    manifest: &Manifest,
    globals: Option<&[Entry]>,
    which: Globals,
) -> Result<Vec<Entry>> {
    if which != Globals::Alone && manifest.has_globals_alone() {
        return Err(Error::new(
            Kind::Refused,
            "there is no database in it, only roles, tablespaces and the like",
        )
        .with_hint("--globals-only takes them"));
    }
    if which == Globals::No {
        return Ok(Vec::new());
    }
    let globals = globals.ok_or_else(|| {
        Error::new(
            Kind::Refused,
            "there are no roles, tablespaces and the like in it",
        )
        .with_hint("dump with --globals, or do without that option here")
    })?;
    Ok(globals.to_vec())
}

/// Most entries in one transaction.
const BATCH: usize = 2000;

/// What the target has of its own.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) roles: BTreeSet<String>,
    pub(super) tablespaces: BTreeSet<String>,
    /// By role and member: `ADMIN`, `INHERIT` and `SET`, all grants together.
    memberships: Memberships,
    settings_of_all: bool,
}

/// By role and member.
type Memberships = BTreeMap<(String, String), [Option<bool>; 3]>;

impl Found {
    pub(super) async fn ask(wire: &mut Wire) -> Result<Self> {
        let context = || "look which roles and tablespaces the target has";
        let mut found = Self::default();
        let mut names = async |sql: &str| wire.query(sql).await.context_with(context);
        let value = |field: &Option<String>| field.clone().unwrap_or_default();
        let roles = names("SELECT rolname FROM pg_catalog.pg_roles").await?;
        found.roles = roles.iter().map(|row| value(&row[0])).collect();
        let tablespaces = names("SELECT spcname FROM pg_catalog.pg_tablespace").await?;
        found.tablespaces = tablespaces.iter().map(|row| value(&row[0])).collect();
        let of_all = names(
            "SELECT 1 FROM pg_catalog.pg_db_role_setting WHERE setdatabase = 0 AND setrole = 0",
        );
        found.settings_of_all = !of_all.await?.is_empty();
        found.memberships = memberships(wire).await?;
        Ok(found)
    }

    /// What of the entry is there already, in words; none when the entry is to be made.
    fn has(&self, entry: &Entry) -> Option<String> {
        let name = &entry.name;
        match (entry.kind.as_str(), entry.roles.as_slice()) {
            ("ROLE" | "ROLE PASSWORD", _) => {
                self.roles.contains(name).then(|| format!("role {name}"))
            }
            ("ROLE SETTINGS", []) => self
                .settings_of_all
                .then(|| "settings for all roles".to_owned()),
            ("ROLE SETTINGS", _) => self.roles.contains(name).then(|| format!("role {name}")),
            ("ROLE MEMBERSHIP", [role, member, ..]) => self
                .memberships
                .contains_key(&(role.clone(), member.clone()))
                .then(|| format!("membership {name}")),
            ("TABLESPACE", _) => {
                let there = self.tablespaces.contains(name);
                there.then(|| format!("tablespace {name}"))
            }
            _ => None,
        }
    }
}

async fn memberships(wire: &mut Wire) -> Result<Memberships> {
    let options = match wire.server_version().at_least(16) {
        true => ", inherit_option, set_option",
        false => "",
    };
    let rows = wire
        .query(&format!(
            "SELECT pg_catalog.pg_get_userbyid(roleid), pg_catalog.pg_get_userbyid(member), \
             admin_option{options} FROM pg_catalog.pg_auth_members"
        ))
        .await
        .context_with(|| "look which memberships the target has")?;
    let mut memberships = Memberships::new();
    for row in &rows {
        let on = |at: usize| Some(row.get(at)?.as_deref()? == "t");
        let value = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        add(
            &mut memberships,
            (value(0), value(1)),
            [on(2), on(3), on(4)],
        );
    }
    Ok(memberships)
}

/// Several grants of one membership give what any of them gives.
fn add(memberships: &mut Memberships, pair: (String, String), options: [Option<bool>; 3]) {
    let all = memberships.entry(pair).or_insert(options);
    for (all, option) in all.iter_mut().zip(options) {
        *all = match (*all, option) {
            (Some(a), Some(b)) => Some(a || b),
            (a, b) => a.or(b),
        };
    }
}

/// A membership that the target has with other options than the archive.
struct Differing {
    pair: (String, String),
    /// Option, whether the archive has it, in their order.
    options: Vec<(&'static str, bool)>,
}

impl Differing {
    /// What the target has, in words.
    fn words(&self) -> String {
        let word = |on| if on { "TRUE" } else { "FALSE" };
        let options = self.options.iter();
        let options =
            options.map(|(name, on)| format!("{name} {} instead of {}", word(!on), word(*on)));
        options.collect::<Vec<_>>().join(", ")
    }
}

/// The memberships of the archive that are among these with other options.
fn differing(globals: &[Entry], there: &Memberships) -> Vec<Differing> {
    let mut archived = Memberships::new();
    for entry in globals.iter().filter(|it| it.kind == "ROLE MEMBERSHIP") {
        if let ([role, member, ..], [statement]) = (&*entry.roles, &*entry.create)
            && let Some(options) = granted(statement, role, member)
        {
            add(&mut archived, (role.clone(), member.clone()), options);
        }
    }
    let mut differing = Vec::new();
    for (pair, wanted) in archived {
        let Some(there) = there.get(&pair) else {
            continue;
        };
        let options: Vec<(&str, bool)> = ["ADMIN", "INHERIT", "SET"]
            .into_iter()
            .zip(wanted.into_iter().zip(there))
            .filter_map(|(name, (wanted, there))| Some((name, wanted?, (*there)?)))
            .filter(|(_, wanted, there)| wanted != there)
            .map(|(name, wanted, _)| (name, wanted))
            .collect();
        if !options.is_empty() {
            differing.push(Differing { pair, options });
        }
    }
    differing
}

/// Says which memberships still have other options after they were granted once more: what other
/// roles have granted stays, and before 16 a grant takes nothing away.
fn tell_of_memberships(shared: &Shared, globals: &[Entry], there: &Memberships) {
    for differing in differing(globals, there) {
        let (role, member) = &differing.pair;
        let taken = differing.options.iter().filter(|(_, wanted)| !wanted);
        let ways: Vec<String> = taken
            .map(|(option, _)| {
                let (role, member) = (ident(role), ident(member));
                format!("REVOKE {option} OPTION FOR {role} FROM {member}")
            })
            .collect();
        let text = format!(
            "membership {member} in {role} was there already, and still has {}",
            differing.words()
        );
        match ways.is_empty() {
            true => shared.warn(text),
            false => shared.warn_with_hint(
                text,
                format!(
                    "what may go takes: {} (GRANTED BY whoever gave it)",
                    ways.join("; ")
                ),
            ),
        }
    }
}

/// Makes the globals that are not there. Roles and what hangs on them are one transaction, so
/// that none is left without its password or its memberships; tablespaces stand alone, as the
/// server demands.
///
/// # Errors
/// Unless failures are to be passed over, the first one.
pub(super) async fn make(
    wire: &mut Wire,
    shared: &Shared,
    globals: &[Entry],
    found: &Found,
    cancel: &CancellationToken,
    outcome: &mut Outcome,
) -> Result<()> {
    outcome.phase("globals");
    shared.event(&Event::Phase {
        name: "globals",
        steps: Some(globals.len() as u64),
    });
    let differing = differing(globals, &found.memberships);
    let is_other = |entry: &Entry| {
        let is_of = |differing: &Differing| match entry.roles.as_slice() {
            [role, member, ..] => (role, member) == (&differing.pair.0, &differing.pair.1),
            _ => false,
        };
        entry.kind == "ROLE MEMBERSHIP" && differing.iter().any(is_of)
    };
    for differing in &differing {
        let (role, member) = &differing.pair;
        shared.observer.info(format!(
            "membership {member} in {role} exists already, with {}: granted once more",
            differing.words()
        ));
    }
    let mut told = BTreeSet::new();
    let mut wanted = Vec::new();
    for entry in globals {
        if shared.leave_out.tablespaces && entry.kind == "TABLESPACE" {
            continue;
        }
        // Nothing is left of it on a server of this version, as was told.
        if let (make, others) = statements_of(shared, entry)
            && make.is_empty()
            && others.is_empty()
        {
            continue;
        }
        match found.has(entry).filter(|_| !is_other(entry)) {
            None => wanted.push(entry),
            Some(there) if told.insert(there.clone()) => {
                shared
                    .observer
                    .info(format!("{there} exists already: left as it is"));
                outcome.found_global(there);
            }
            Some(_) => {}
        }
    }
    let mut making = Making {
        shared,
        cancel,
        missing: BTreeSet::new(),
    };
    let mut rest = wanted.as_slice();
    while let Some(first) = rest.first() {
        if first.kind == "TABLESPACE" {
            making.tablespace(wire, first, outcome).await?;
            rest = &rest[1..];
            continue;
        }
        let alike = rest.iter().take_while(|entry| entry.kind != "TABLESPACE");
        let mut length = alike.count().min(BATCH);
        // A role and its password are not parted.
        if rest
            .get(length)
            .is_some_and(|next| next.kind == "ROLE PASSWORD")
        {
            length += 1;
        }
        let (batch, after) = rest.split_at(length);
        making.together(wire, batch, outcome).await?;
        rest = after;
    }
    for notice in wire.take_notices() {
        shared.warn(format!("globals: {notice}"));
    }
    if !differing.is_empty() {
        tell_of_memberships(shared, globals, &memberships(wire).await?);
    }
    Ok(())
}

struct Making<'a> {
    shared: &'a Shared,
    cancel: &'a CancellationToken,
    /// Roles that could not be made.
    missing: BTreeSet<String>,
}

impl Making<'_> {
    /// Runs statements of one entry as one transaction.
    async fn run(&self, wire: &mut Wire, entry: &Entry, statements: &[&str]) -> Result<()> {
        let canceller = wire.canceller();
        let run = unless_cancelled(canceller, self.cancel, wire.execute_all(statements)).await?;
        run.map_err(|batch| {
            let statement = statements.get(batch.index).copied().unwrap_or_default();
            of_statement(batch.error, entry, statement)
        })
    }

    async fn together(
        &mut self,
        wire: &mut Wire,
        batch: &[&Entry],
        outcome: &mut Outcome,
    ) -> Result<()> {
        let mut statements = Vec::new();
        for &entry in batch {
            let (make, others) = statements_of(self.shared, entry);
            let all = make.into_iter().chain(others.into_iter().flatten());
            statements.extend(all.map(|statement| (entry, statement)));
        }
        let texts: Vec<&str> = statements.iter().map(|(_, text)| *text).collect();
        let canceller = wire.canceller();
        let made = unless_cancelled(canceller, self.cancel, wire.execute_all(&texts)).await?;
        let Err(failed) = made else {
            for _ in batch {
                outcome.made_global();
            }
            return Ok(());
        };
        let at = failed.index.min(statements.len().saturating_sub(1));
        let error = match statements.get(at) {
            Some((entry, statement)) => of_statement(failed.error, entry, statement),
            None => failed.error,
        };
        if self.shared.on_error == OnError::Exit || is_fatal(&error) {
            return Err(error);
        }
        for &entry in batch {
            let (make, others) = statements_of(self.shared, entry);
            self.apart(wire, entry, &[make], &others, outcome).await?;
        }
        Ok(())
    }

    async fn tablespace(
        &mut self,
        wire: &mut Wire,
        entry: &Entry,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let (make, others) = statements_of(self.shared, entry);
        let make: Vec<Vec<&str>> = make.into_iter().map(|one| vec![one]).collect();
        self.apart(wire, entry, &make, &others, outcome).await
    }

    /// Makes one entry by these transactions, and gives it the rest by those others; a failure is
    /// written down, or ends the run. What is there without a comment or a label is there.
    async fn apart(
        &mut self,
        wire: &mut Wire,
        entry: &Entry,
        make: &[Vec<&str>],
        others: &[Vec<&str>],
        outcome: &mut Outcome,
    ) -> Result<()> {
        let own = entry.owner.iter();
        if let Some(role) = entry
            .roles
            .iter()
            .chain(own)
            .find(|r| self.missing.contains(*r))
        {
            let reason = format!("it needs ROLE {role}, which was not made");
            outcome.skip_global(entry, reason);
            return Ok(());
        }
        for statements in make.iter().filter(|some| !some.is_empty()) {
            if let Err(error) = self.run(wire, entry, statements).await {
                self.failed(entry, error, outcome)?;
                if entry.kind == "ROLE" {
                    self.missing.insert(entry.name.clone());
                }
                return Ok(());
            }
        }
        let mut done = make.iter().any(|some| !some.is_empty());
        for statements in others {
            match self.run(wire, entry, statements).await {
                Ok(()) => done = true,
                Err(error) => self.failed(entry, error, outcome)?,
            }
        }
        if done {
            outcome.made_global();
        }
        Ok(())
    }

    fn failed(&self, entry: &Entry, error: Error, outcome: &mut Outcome) -> Result<()> {
        if self.shared.on_error == OnError::Exit || is_fatal(&error) {
            return Err(error);
        }
        outcome.failed(self.shared, entry, &error);
        Ok(())
    }
}

/// The statements of an entry: those that make it, and the others: what belongs together there.
fn statements_of<'e>(shared: &'e Shared, entry: &'e Entry) -> (Vec<&'e str>, Vec<Vec<&'e str>>) {
    let leave_out = shared.leave_out;
    let kept = [
        (leave_out.owners, &entry.set_owner),
        (leave_out.privileges, &entry.privileges),
        (leave_out.comments, &entry.comments),
        (leave_out.security_labels, &entry.labels),
    ];
    let text = |statement: &'e String| match statement.as_str() {
        RESET_ROLE => shared.reset_role.as_str(),
        other => other,
    };
    let others = kept
        .into_iter()
        .filter(|(left_out, statements)| !left_out && !statements.is_empty())
        .map(|(_, statements)| statements.iter().map(text).collect());
    let make = entry.create.iter().map(String::as_str);
    (make.collect(), others.collect())
}

/// Refuses, before anything is changed, a target that lacks roles or tablespaces which the restored
/// entries name and `globals` will not make; all of them at once. When failures are to be passed
/// over, it is a warning.
///
/// # Errors
/// Of kind [`Refused`](crate::error::Kind::Refused).
pub(super) fn check_names(
    shared: &Shared,
    found: &Found,
    globals: &[Entry],
    has_globals: bool,
    place: &str,
) -> Result<()> {
    let leave_out = shared.leave_out;
    let made = |kind: &str, name: &str| {
        globals
            .iter()
            .any(|entry| entry.kind == kind && entry.name == name)
    };
    let mut roles = BTreeSet::new();
    let mut tablespaces = BTreeSet::new();
    let mut look = |entry: &Entry| {
        let owner = entry.owner.iter();
        let owner = owner.filter(|_| !leave_out.owners && !entry.set_owner.is_empty());
        let others = entry
            .roles
            .iter()
            .filter(|_| entry.privileges.is_empty() || !leave_out.privileges);
        roles.extend(
            owner
                .chain(others)
                // Those are the server's own: nobody can make them, and where an older server lacks
                // one the entry has a form without it.
                .filter(|role| !role.starts_with("pg_"))
                .filter(|role| !found.roles.contains(*role) && !made("ROLE", role))
                .cloned(),
        );
        tablespaces.extend(
            entry
                .tablespace
                .iter()
                .filter(|name| !name.is_empty() && !leave_out.tablespaces)
                .filter(|name| !found.tablespaces.contains(*name) && !made("TABLESPACE", name))
                .cloned(),
        );
    };
    let steps = shared.plan.steps.iter().filter_map(|step| step.entry);
    let restored: BTreeSet<_> = steps.chain(shared.plan.database.iter().copied()).collect();
    restored
        .into_iter()
        .filter_map(|id| shared.entry(id))
        .for_each(&mut look);
    for entry in globals.iter().filter(|entry| found.has(entry).is_none()) {
        look(entry);
    }
    if roles.is_empty() && tablespaces.is_empty() {
        return Ok(());
    }
    let list = |what: &str, names: &BTreeSet<String>| {
        let shown: Vec<&str> = names.iter().map(String::as_str).collect();
        let plural = if names.len() == 1 { "" } else { "s" };
        (!names.is_empty()).then(|| format!("{what}{plural} {}", shown.join(", ")))
    };
    let parts = [list("role", &roles), list("tablespace", &tablespaces)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let text = one_line(&format!(
        "the target {place} lacks what the archive names: {}",
        parts.join("; ")
    ));
    let mut ways = vec![if has_globals {
        "restore them with --globals"
    } else {
        "make them first, or dump with --globals and restore with --globals"
    }];
    if !roles.is_empty() {
        ways.push("or leave owners and privileges out with --no-owner and --no-privileges");
    }
    if !tablespaces.is_empty() {
        ways.push("or put everything into the default tablespace with --no-tablespaces");
    }
    let hint = ways.join(", ");
    if shared.on_error == OnError::Continue {
        shared.warnings.fetch_add(1, Ordering::Relaxed);
        shared.observer.warning_with_hint(text, hint);
        return Ok(());
    }
    Err(Error::new(Kind::Refused, text).with_hint(hint))
}
