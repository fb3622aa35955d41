//! The statements of steps, and running them.

use std::borrow::Cow;

use super::default_privileges::{Given, LEVEL, may_have_some};
use super::failure::{is_fatal, is_missing, lost_a_race, of_statement};
use super::journal::{Fate, Journal, Unit};
use super::options::OnError;
use super::session::{Session, WITHOUT_WORKERS};
use super::shared::{Shared, Transactions};
use crate::archive::{Entry, Pass};
use crate::connect::{BatchError, Wire};
use crate::error::{Error, Kind};
use crate::plan::{Step, StepId, Work};
use crate::sql::{RESET_ROLE, ident};

/// How often work that lost a race is tried again.
const RACES: u32 = 5;

/// Statements of several steps, in order.
struct Script<'a> {
    statements: Vec<(StepId, Cow<'a, str>)>,
    tablespace: &'a str,
    access_method: Option<&'a str>,
    /// Whether it makes what the target gives privileges that it is not to have.
    levels: bool,
}

/// What one step runs: what makes the object, and what may fail without unmaking it.
struct Parts<'a> {
    make: Vec<&'a str>,
    adorn: Vec<&'a str>,
}

fn parts<'a>(shared: &'a Shared, step: &Step, entry: &'a Entry) -> Parts<'a> {
    let work = step.work;
    let piece = step.piece.and_then(|at| entry.split.get(at as usize));
    let is_last = step
        .piece
        .is_none_or(|at| at as usize + 1 == entry.split.len());
    let leave_out = shared.leave_out;
    let mut make = Vec::new();
    let mut adorn = Vec::new();
    let with_definition = match work {
        Work::Privileges => entry.pass == Pass::Privileges,
        _ => true,
    };
    let with_privileges = work == Work::Privileges || entry.pass == Pass::Last;
    if with_definition {
        let create = piece.map_or(&entry.create, |piece| &piece.create);
        make.extend(create.iter().map(String::as_str));
    }
    // What hangs on the object waits for the whole of it.
    if with_definition && is_last {
        let kept = [
            (leave_out.owners || is_ours(shared, entry), &entry.set_owner),
            (leave_out.comments, &entry.comments),
            (leave_out.security_labels, &entry.labels),
        ];
        for (left_out, statements) in kept {
            if !left_out {
                adorn.extend(statements.iter().map(String::as_str));
            }
        }
    }
    if with_privileges && !leave_out.privileges {
        adorn.extend(entry.privileges.iter().map(|statement| {
            if statement == RESET_ROLE {
                shared.reset_role.as_str()
            } else {
                statement
            }
        }));
    }
    Parts { make, adorn }
}

/// Whether what an entry makes has its owner from the beginning: a relation that the session makes
/// (and does not replace) under the role that is to own it.
fn is_ours(shared: &Shared, entry: &Entry) -> bool {
    const KINDS: [&str; 5] = [
        "TABLE",
        "SEQUENCE",
        "VIEW",
        "MATERIALIZED VIEW",
        "FOREIGN TABLE",
    ];
    !entry.create.is_empty()
        && KINDS.contains(&entry.kind.as_str())
        && entry.owner.as_ref() == Some(&shared.current_role)
}

/// What a long statement is given for its transaction, where that makes it faster.
fn settings(shared: &Shared, id: StepId, make: &[&str]) -> Vec<String> {
    let step = shared.step(id).filter(|step| {
        // It would stay for all that follows.
        shared.transactions != Transactions::One && !step.is_quick && step.cost > 0
    });
    let (Some(step), Some(memory)) = (step, shared.sort_memory) else {
        return Vec::new();
    };
    let is_tree = |statement: &&str| {
        let words = [" USING btree (", " PRIMARY KEY (", " UNIQUE ("];
        words.iter().any(|word| statement.contains(word))
    };
    let mut settings = Vec::new();
    let is_built = make.iter().any(is_tree);
    if is_built && shared.builds_alone() {
        settings.push(WITHOUT_WORKERS.to_owned());
    }
    if step.is_served || is_built {
        let kb = memory.kb_for(step.cost);
        settings.push(format!(
            "SELECT pg_catalog.set_config('maintenance_work_mem', '{kb}kB', true)"
        ));
    }
    if step.is_served {
        // An index just built lies in its own order: it is read from one end to the other, and the rows, which were
        // vacuumed, need not be looked at.
        settings.push(
            "SELECT pg_catalog.set_config('random_page_cost', \
             pg_catalog.current_setting('seq_page_cost'), true)"
                .to_owned(),
        );
    }
    settings
}

impl<'a> Script<'a> {
    fn new() -> Self {
        Self {
            statements: Vec::new(),
            tablespace: "",
            access_method: None,
            levels: false,
        }
    }

    /// Adds what makes the object, with the defaults it is to be made under.
    fn make(&mut self, shared: &'a Shared, step: StepId, entry: &'a Entry, make: &[&'a str]) {
        if make.is_empty() {
            return;
        }
        self.levels |= shared.default_privileges == Given::Taken && may_have_some(entry);
        if !shared.leave_out.tablespaces {
            let tablespace = entry.tablespace.as_deref().unwrap_or("");
            if tablespace != self.tablespace {
                self.set_tablespace(step, tablespace);
            }
        }
        if !shared.leave_out.table_access_methods
            && let Some(method) = &entry.access_method
            && self.access_method != Some(method)
        {
            let set = format!("SET default_table_access_method = {}", ident(method));
            self.statements.push((step, set.into()));
            self.access_method = Some(method);
        }
        for setting in settings(shared, step, make) {
            self.statements.push((step, setting.into()));
        }
        let own = shared
            .own_settings
            .as_ref()
            .filter(|_| entry.kind == "MATERIALIZED VIEW DATA");
        if let Some(own) = own {
            self.statements.push((step, own.before.as_str().into()));
        }
        self.add(step, make);
        if let Some(own) = own {
            self.statements.push((step, own.after.as_str().into()));
        }
    }

    fn set_tablespace(&mut self, step: StepId, tablespace: &'a str) {
        let value: Cow<'_, str> = match tablespace {
            "" => "''".into(),
            name => ident(name).into(),
        };
        let set = format!("SET default_tablespace = {value}");
        self.statements.push((step, set.into()));
        self.tablespace = tablespace;
    }

    fn add(&mut self, step: StepId, statements: &[&'a str]) {
        for &statement in statements {
            self.statements.push((step, statement.into()));
        }
    }

    /// Leaves the session as it was found.
    fn end(&mut self) {
        let Some(&(step, _)) = self.statements.last() else {
            return;
        };
        if self.levels {
            self.statements.push((step, LEVEL.into()));
        }
        if !self.tablespace.is_empty() {
            self.set_tablespace(step, "");
        }
        if self.access_method.take().is_some() {
            let reset = "RESET default_table_access_method";
            self.statements.push((step, reset.into()));
        }
    }

    /// The statement of this position among those that are sent, and its step; a record stands in front of them.
    fn at(&self, index: usize, is_recorded: bool) -> &(StepId, Cow<'a, str>) {
        let index = index.saturating_sub(usize::from(is_recorded));
        &self.statements[index.min(self.statements.len() - 1)]
    }

    /// Runs all of it as one transaction, which records these units of work, if a journal is kept.
    async fn run(
        mut self,
        session: &mut Session,
        shared: &Shared,
        units: &[Unit],
    ) -> Result<(), (StepId, Error)> {
        self.end();
        if self.statements.is_empty() {
            return Ok(());
        }
        let record = Journal::record(units.iter().copied());
        let record = record.filter(|_| shared.journal.is_some());
        let texts = record.as_deref().into_iter();
        let texts: Vec<&str> = texts
            .chain(self.statements.iter().map(|(_, sql)| sql.as_ref()))
            .collect();
        // A transaction that holds everything else cannot be begun again.
        let mut races = match shared.transactions {
            Transactions::Many { .. } => 0,
            Transactions::One => RACES,
        };
        session.losses = 0;
        loop {
            let ran = session.wire.execute_all(&texts).await;
            // What is not done is tried once more, as a whole or one by one, and remarked upon then.
            let notices = session.wire.take_placed_notices();
            if ran.is_ok() || shared.on_error == OnError::Exit {
                for (index, notice) in notices {
                    let step = self.at(index, record.is_some()).0;
                    let name = shared.step(step).map_or("", |step| &step.name);
                    pass_on(shared, name, &notice);
                }
            }
            let BatchError { index, error } = match ran {
                Ok(()) => return Ok(()),
                Err(batch) => batch,
            };
            if lost_a_race(&error) && races < RACES && !shared.stop.is_cancelled() {
                races += 1;
                continue;
            }
            let unit = units.first().copied();
            let error = match shared.survive(session, error, unit).await {
                Ok(Fate::Done) => return Ok(()),
                Ok(Fate::Undone) => continue,
                Err(error) => error,
            };
            let (step, statement) = self.at(index, record.is_some());
            let error = match shared.entry_of_step(*step) {
                Some(entry) => of_statement(error, entry, statement),
                None => error,
            };
            return Err((*step, error));
        }
    }
}

/// Runs statements that bear being run twice, in one transaction; again when the session is lost.
pub(super) async fn run_again(
    session: &mut Session,
    shared: &Shared,
    statements: &[&str],
) -> Result<(), BatchError> {
    session.losses = 0;
    loop {
        let BatchError { index, error } = match session.wire.execute_all(statements).await {
            Ok(()) => return Ok(()),
            Err(batch) => batch,
        };
        if let Err(error) = shared.survive(session, error, None).await {
            return Err(BatchError { index, error });
        }
    }
}

/// Records that a step is done whose statements were not one transaction.
pub(super) async fn record(
    session: &mut Session,
    shared: &Shared,
    step: StepId,
) -> Result<(), Error> {
    let journal = shared.journal.as_ref();
    match journal.and_then(|journal| journal.of_step(step)) {
        Some(unit) => record_unit(session, shared, unit).await,
        None => Ok(()),
    }
}

/// Records that something is done which was not one transaction.
pub(super) async fn record_unit(
    session: &mut Session,
    shared: &Shared,
    unit: Unit,
) -> Result<(), Error> {
    let Some(statement) = Journal::record([unit]) else {
        return Ok(());
    };
    session.losses = 0;
    loop {
        let Err(error) = session.wire.execute(&statement).await else {
            return Ok(());
        };
        if shared.survive(session, error, Some(unit)).await? == Fate::Done {
            return Ok(());
        }
    }
}

/// Runs the statements of several steps as one transaction.
///
/// # Errors
/// The step that failed, and why; nothing of any of them was done then.
pub(super) async fn run_together(
    session: &mut Session,
    shared: &Shared,
    steps: &[StepId],
) -> Result<(), (StepId, Error)> {
    let alone = shared.transactions != Transactions::One;
    let mut left_out: Vec<StepId> = Vec::new();
    loop {
        let mut script = Script::new();
        let mut optional = Vec::new();
        let mut units = Vec::new();
        for &id in steps.iter().filter(|id| !left_out.contains(id)) {
            if let (Some(step), Some(entry)) = (shared.step(id), shared.entry_of_step(id)) {
                let Parts { mut make, adorn } = parts(shared, step, entry);
                if entry.is_remark() || (!alone && is_only_privileges(entry)) {
                    optional.push((id, entry, adorn));
                    continue;
                }
                if let Some(journal) = &shared.journal
                    && let Some(unit) = journal.of_step(id)
                {
                    units.push(unit);
                    if journal.has(unit.made()) {
                        make.clear();
                    }
                }
                script.make(shared, id, entry, &make);
                script.add(id, &adorn);
            }
        }
        match script.run(session, shared, &units).await {
            Ok(()) => {}
            Err((id, error)) if alone && lacks(shared.entry_of_step(id), &error) => {
                if let Some(entry) = shared.entry_of_step(id) {
                    warn_of_missing(shared, entry);
                }
                left_out.push(id);
                continue;
            }
            Err(failed) => return Err(failed),
        }
        for (id, entry, adorn) in optional {
            run_optional(session, shared, entry, &adorn)
                .await
                .map_err(|error| (id, error))?;
            record(session, shared, id)
                .await
                .map_err(|error| (id, error))?;
        }
        return Ok(());
    }
}

/// Whether the archive gives only privileges on the entry's object, or an owner to a function of the
/// server's, and does not make it: a member of an extension, or an object of the server's own.
fn is_only_privileges(entry: &Entry) -> bool {
    let given_away = entry.schema.as_deref() == Some("pg_catalog") && !entry.set_owner.is_empty();
    entry.create.is_empty() && entry.data.is_none() && (given_away || !entry.privileges.is_empty())
}

/// Whether a statement failed because the target lacks what nothing in the archive would make: a
/// member that the extension has in the source but not in the version that is here, or a function
/// of another server's catalogs.
fn lacks(entry: Option<&Entry>, error: &Error) -> bool {
    entry.is_some_and(is_only_privileges) && is_missing(error)
}

fn warn_of_missing(shared: &Shared, entry: &Entry) {
    shared.warn(format!(
        "left out the privileges on {}: it is a part of an extension or of the server, and the \
         target's does not have it",
        entry.describe()
    ));
}

/// Runs what is no part of the archive's own objects: what the target does not take of it, because
/// it has no such object or (of comments and labels) gives no right to it, is a warning.
async fn run_optional(
    session: &mut Session,
    shared: &Shared,
    entry: &Entry,
    statements: &[&str],
) -> Result<(), Error> {
    let savepoint = shared.transactions == Transactions::One;
    for group in one_by_one(statements, &shared.reset_role) {
        let told = |error, at: usize| {
            of_statement(error, entry, group.get(at).copied().unwrap_or_default())
        };
        if savepoint {
            let savepoint = "SAVEPOINT optional";
            let saved = session.wire.execute(savepoint).await;
            saved.map_err(|error| told(error, 0))?;
        }
        let run = run_again(session, shared, &group).await;
        let mut missing = false;
        if let Err(BatchError { index, error, .. }) = run {
            if is_fatal(&error) || !(entry.is_remark() || lacks(Some(entry), &error)) {
                return Err(told(error, index));
            }
            if savepoint {
                let back = "ROLLBACK TO SAVEPOINT optional";
                let back = session.wire.execute(back).await;
                back.map_err(|error| told(error, 0))?;
            }
            if entry.is_remark() {
                shared.warn(format!("left out {}: {error}", entry.describe()));
            } else {
                warn_of_missing(shared, entry);
                missing = true;
            }
        }
        if savepoint {
            let release = "RELEASE SAVEPOINT optional";
            let released = session.wire.execute(release).await;
            released.map_err(|error| told(error, 0))?;
        }
        // What is not there is told once.
        if missing {
            break;
        }
    }
    Ok(())
}

/// Statements that are to be run one by one, each with what belongs into its transaction: to become
/// the role that it is run as, and to leave it again. A session that was lost in between would forget the role.
fn one_by_one<'a>(statements: &[&'a str], reset_role: &'a str) -> Vec<Vec<&'a str>> {
    let mut groups = Vec::with_capacity(statements.len());
    let mut role = None;
    for &statement in statements {
        if statement == reset_role {
            role = None;
        } else if statement.starts_with(SET_ROLE) {
            role = Some(statement);
        } else {
            groups.push(match role {
                Some(role) => vec![role, statement, reset_role],
                None => vec![statement],
            });
        }
    }
    groups
}

/// What a statement that changes the role begins with.
const SET_ROLE: &str = "SET ROLE ";

/// What came of a step that was run part by part.
#[derive(Debug)]
pub(super) struct Apart {
    /// Whether the object was made.
    pub(super) made: bool,
    /// What failed.
    pub(super) errors: Vec<Error>,
}

/// Runs the statements of one step so that as much of it stands as can: what makes the object in
/// one transaction, then owner, comments and the like each in its own.
pub(super) async fn run_apart(session: &mut Session, shared: &Shared, id: StepId) -> Apart {
    let mut outcome = Apart {
        made: true,
        errors: Vec::new(),
    };
    let (Some(step), Some(entry)) = (shared.step(id), shared.entry_of_step(id)) else {
        return outcome;
    };
    let Parts { mut make, adorn } = parts(shared, step, entry);
    if entry.is_remark() {
        let told = match run_optional(session, shared, entry, &adorn).await {
            Ok(()) => record(session, shared, id).await,
            told => told,
        };
        outcome.errors.extend(told.err());
        return outcome;
    }
    let mut units = Vec::new();
    if let Some(journal) = &shared.journal
        && let Some(unit) = journal.of_step(id)
    {
        units.push(unit.made());
        if journal.has(unit.made()) {
            make.clear();
        }
    }
    let mut script = Script::new();
    script.make(shared, id, entry, &make);
    if let Err((_, error)) = script.run(session, shared, &units).await {
        outcome.made = false;
        outcome.errors.push(error);
        return outcome;
    }
    let mut no_role = None;
    for group in one_by_one(&adorn, &shared.reset_role) {
        // What was to be done as another role is left alone when there is no becoming that role.
        if no_role.is_some() && no_role == group.first().copied() {
            continue;
        }
        if let Err(BatchError { index, error, .. }) = run_again(session, shared, &group).await {
            if lacks(Some(entry), &error) {
                warn_of_missing(shared, entry);
                break;
            }
            let statement = group.get(index).copied().unwrap_or_default();
            if statement.starts_with(SET_ROLE) && statement != shared.reset_role {
                no_role = Some(statement);
            }
            let ends = is_fatal(&error) || error.kind() == Kind::ConnectionLost;
            outcome.errors.push(of_statement(error, entry, statement));
            if ends {
                break;
            }
        }
    }
    // What failed is tried again by a run that goes on with this one.
    if outcome.errors.is_empty() {
        outcome
            .errors
            .extend(record(session, shared, id).await.err());
    }
    outcome
}

/// How many statements a step has; for cutting batches.
pub(super) fn count(shared: &Shared, id: StepId) -> usize {
    match (shared.step(id), shared.entry_of_step(id)) {
        (Some(step), Some(entry)) => {
            let Parts { make, adorn } = parts(shared, step, entry);
            make.len() + adorn.len()
        }
        _ => 0,
    }
}

/// The server's notices since the last step, as warnings.
pub(super) fn pass_on_notices(wire: &mut Wire, shared: &Shared, name: &str) {
    for notice in wire.take_notices() {
        pass_on(shared, name, &notice);
    }
}

fn pass_on(shared: &Shared, name: &str, notice: &str) {
    let notice = notice.strip_prefix("warning: ").unwrap_or(notice);
    shared.warn(format!("{name}: {notice}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_taken_and_left_in_the_transaction_of_what_is_done_as_it() {
        let statements = [
            "a",
            "SET ROLE x",
            "b",
            "c",
            "SET ROLE me",
            "d",
            "SET ROLE y",
            "e",
        ];
        assert_eq!(
            one_by_one(&statements, "SET ROLE me"),
            [
                vec!["a"],
                vec!["SET ROLE x", "b", "SET ROLE me"],
                vec!["SET ROLE x", "c", "SET ROLE me"],
                vec!["d"],
                vec!["SET ROLE y", "e", "SET ROLE me"],
            ]
        );
    }
}
