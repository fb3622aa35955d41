//! The one way in: reads a whole database in the order that keeps locks early.

use std::borrow::Borrow;
use std::future::{poll_fn, ready};
use std::pin::pin;
use std::time::Duration;

use futures::future::maybe_done;
use futures::try_join;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::context::Reader;
use super::roles::Roles;
use super::row::Row;
use super::select::Selected;
use super::selection::Selection;
use super::{
    access_methods, aggregates, casts, checks, collations, comments, conversions, database,
    default_acls, dependencies, detail, event_triggers, extensions, foreign, foreign_keys,
    functions, globals, headers, indexes, labels, languages, large_objects, locks, losses,
    operator_classes, operators, planner_statistics, policies, publications, relations, remarks,
    roles, row_form, rules, schemas, select, stability, statistics, subscriptions, text_search,
    transforms, triggers, types,
};
use crate::connect::Session;
use crate::error::{Error, Kind, Result};
use crate::model::{Components, Database, Dependency, Extension, Oid, Relation, Schema};
use crate::report::{Event, Observer};
use crate::select::LeaveOut;
use crate::sql::{Quoting, ServerVersion};

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct ReadRequest {
    /// Which objects, and what of them.
    pub selection: Selection,
    /// Classes of things that need not be read.
    pub leave_out: LeaveOut,
    /// How identifiers are written where the model holds text for SQL. The server's own such text
    /// follows the session's `quote_all_identifiers`.
    pub quoting: Quoting,
    /// How long to wait for the lock of a table; none waits for ever.
    pub lock_wait_timeout: Option<Duration>,
}

const SERVER: &str = "\
SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_database()::text";

/// Reads everything that the selection asks for, and locks the tables in it (`ACCESS SHARE`, until
/// the end of the transaction).
///
/// The session must be inside an open transaction whose snapshot stays the same (repeatable read
/// or more), with an empty `search_path`; so must the session beside it, with the same
/// snapshot. That one takes half of the work, leaves its transaction at the end, and looks whether the
/// catalogs have stood still; without it nobody looks.
///
/// # Errors
/// A pattern that makes no sense ([`Kind::Usage`]) or matches nothing, a table that may not be
/// read or is locked by others for too long, an object whose owner does not exist, an object that
/// was dropped in between, and whatever the server says.
pub async fn read(
    session: &Session,
    beside_session: Option<&Session>,
    request: &ReadRequest,
    observer: &dyn Observer,
) -> Result<Database> {
    let opened = ready(Ok(beside_session));
    let (database, _) = read_while_opening(session, opened, request, observer).await?;
    Ok(database)
}

/// As [`read`], with a second session that is only being opened: the first one begins meanwhile. It is given back.
///
/// # Errors
/// As [`read`], and why it could not be opened.
pub(crate) async fn read_while_opening<S: Borrow<Session>>(
    session: &Session,
    beside_session: impl Future<Output = Result<Option<S>>>,
    request: &ReadRequest,
    observer: &dyn Observer,
) -> Result<(Database, Option<S>)> {
    let (client, version) = (session.client(), session.server_version());
    let phase = |name| observer.event(&Event::Phase { name, steps: None });
    phase("catalog");
    let mut opening = pin!(maybe_done(beside_session));
    let first = async {
        try_join!(
            asked(|| stability::snapshot(client)),
            asked(|| Roles::load(client)),
            asked(|| server(client)),
        )
    };
    let mut first = pin!(first);
    let first = poll_fn(|cx| {
        // Whether it is open is looked at below.
        let _ = opening.as_mut().poll(cx);
        first.as_mut().poll(cx)
    });
    let (snapshot, roles, (in_recovery, name)) = first.await?;
    let reader = Reader {
        client,
        version,
        roles: &roles,
        observer,
        in_recovery,
        leave_out: request.leave_out,
        quoting: request.quoting,
    };

    let locked = async {
        let (mut extensions, members, mut schemas, mut relations) = try_join!(
            asked(|| extensions::read(&reader)),
            asked(|| extensions::members(&reader)),
            asked(|| schemas::read(&reader)),
            asked(|| relations::list(&reader, &request.selection)),
        )?;
        let selected = Selected::resolve(
            &reader,
            &request.selection,
            &name,
            members,
            &mut extensions,
            &mut schemas,
        )
        .await?;
        selected
            .mark_relations(&reader, &mut relations, &extensions)
            .await?;
        if request.leave_out.statistics {
            for relation in &mut relations {
                let wanted = &mut relation.header.wanted;
                *wanted = wanted.without(Components::STATISTICS);
            }
        }
        phase("lock");
        locks::acquire(&reader, &relations, request.lock_wait_timeout).await?;
        Ok((extensions, schemas, selected, relations))
    };
    // What hangs on no list of relations need not wait for the locks; a session alone takes those first.
    let general = async {
        opening.as_mut().await;
        let Some(beside) = opening.take_output().transpose()?.flatten() else {
            return Ok((None, None));
        };
        let back = Reader {
            client: beside.borrow().client(),
            ..reader
        };
        let read = unless_locked(general(&back).await)?;
        Ok((Some(beside), read))
    };
    let (locked, (beside_session, general)) = try_join!(asked(|| locked), asked(|| general))?;
    let back = beside_session.as_ref().map(|session| Reader {
        client: session.borrow().client(),
        ..reader
    });
    let (extensions, schemas, selected, relations) = locked;
    // Where the second session waited in vain, its transaction is over.
    let back = back.filter(|_| general.is_some()).unwrap_or(reader);
    let general = match general {
        Some(general) => general,
        None => self::general(&reader).await?,
    };

    phase("catalog");
    let tables = Tables::of(&relations);
    let front = asked(|| objects(&reader, &selected, schemas, extensions, relations));
    let back = async {
        match unless_locked(of_tables(&back, &tables).await)? {
            Some(read) => Ok(read),
            // The leader does not wait for locks that it has.
            None => of_tables(&reader, &tables).await,
        }
    };
    // With one session the server answers one after the other all the same.
    let (mut database, beside) = try_join!(front, asked(|| back))?;
    checks::fill(&mut database.relations, beside.checks)?;
    checks::adopt_orphans(&reader, &mut database.relations);
    database.indexes = indexes::read(&reader, beside.indexes, &database.relations).await?;
    database.foreign_keys =
        foreign_keys::read(&reader, beside.foreign_keys, &database.relations).await?;
    selected.mark_parts(&mut database);
    database.planner_statistics = planner_statistics::read(&reader, &database.relations).await?;
    publications::members(&reader, &selected, &mut database).await?;
    database.dependencies = general.dependencies;
    headers::annotate(&mut database, general.notes);
    headers::drop_dangling_privileges(&mut database, &reader);
    database.remarks = remarks::read(&reader, &selected, &database.extensions).await?;
    losses::warn(&reader, &selected, &database).await?;
    if let Some(beside) = &beside_session {
        let beside = beside.borrow().client();
        // Out of the snapshot: from here on it sees what is now.
        beside
            .batch_execute(&stability::now(request.quoting))
            .await?;
        stability::check(&reader, &database, beside, &snapshot).await?;
    }
    Ok((database, beside_session))
}

/// One family among several that are asked for at once. The server answers in order, so that what has failed
/// because another one had is not the first to say so.
fn asked<T, F: Future<Output = Result<T>>>(
    family: impl FnOnce() -> F,
) -> impl Future<Output = Result<T>> {
    // Many of them side by side are not to lie on the stack, not even while they are made.
    let family = Box::pin(family());
    async {
        let read = family.await;
        let has_followed =
            |error: &Error| error.sqlstate() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION);
        if read.as_ref().is_err_and(has_followed) {
            tokio::task::yield_now().await;
        }
        read
    }
}

/// Everything but what [`of_tables`] and [`general`] read. No family waits for another one's answers: over a
/// network each would take a way there and back.
async fn objects(
    reader: &Reader<'_>,
    selected: &Selected,
    schemas: Vec<Schema>,
    extensions: Vec<Extension>,
    relations: Vec<Relation>,
) -> Result<Database> {
    let foreign = async {
        let servers = foreign::servers(reader, selected).await?;
        let mappings = foreign::mappings(reader, selected, &servers).await?;
        Ok((servers, mappings))
    };
    let (
        properties,
        languages,
        collations,
        types,
        functions,
        casts,
        aggregates,
        operators,
        (operator_families, operator_classes),
        access_methods,
        conversions,
        transforms,
        text_search_parsers,
        text_search_templates,
        text_search_dictionaries,
        text_search_configurations,
        foreign_data_wrappers,
        (foreign_servers, user_mappings),
        publications,
        subscriptions,
        event_triggers,
        default_acls,
        large_objects,
    ) = try_join!(
        asked(|| database::read(reader, selected)),
        asked(|| languages::read(reader, selected)),
        asked(|| collations::read(reader, selected)),
        asked(|| types::read(reader, selected)),
        asked(|| functions::read(reader, selected)),
        asked(|| casts::read(reader, selected)),
        asked(|| aggregates::read(reader, selected)),
        asked(|| operators::read(reader, selected)),
        asked(|| operator_classes::read(reader, selected)),
        asked(|| access_methods::read(reader, selected)),
        asked(|| conversions::read(reader, selected)),
        asked(|| transforms::read(reader, selected)),
        asked(|| text_search::parsers(reader, selected)),
        asked(|| text_search::templates(reader, selected)),
        asked(|| text_search::dictionaries(reader, selected)),
        asked(|| text_search::configurations(reader, selected)),
        asked(|| foreign::wrappers(reader, selected)),
        asked(|| foreign),
        asked(|| publications::read(reader, selected)),
        asked(|| subscriptions::read(reader, selected)),
        asked(|| event_triggers::read(reader, selected)),
        asked(|| default_acls::read(reader, selected)),
        asked(|| large_objects::read(reader, selected)),
    )?;
    let mut database = Database {
        version: reader.version,
        properties,
        schemas,
        extensions,
        languages,
        collations,
        types,
        functions,
        casts,
        aggregates,
        operators,
        operator_families,
        operator_classes,
        access_methods,
        conversions,
        transforms,
        text_search_parsers,
        text_search_templates,
        text_search_dictionaries,
        text_search_configurations,
        foreign_data_wrappers,
        user_mappings,
        foreign_servers,
        relations,
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
        statistics: Vec::new(),
        planner_statistics: Vec::new(),
        rules: Vec::new(),
        triggers: Vec::new(),
        policies: Vec::new(),
        publications,
        publication_tables: Vec::new(),
        publication_schemas: Vec::new(),
        subscriptions,
        event_triggers,
        remarks: Vec::new(),
        default_acls,
        large_objects,
        dependencies: Vec::new(),
    };
    detail::complete(reader, &mut database.relations).await?;
    let of = &database.relations;
    let (triggers, rules, policies, statistics) = try_join!(
        asked(|| triggers::read(reader, of)),
        asked(|| rules::read(reader, of)),
        asked(|| policies::read(reader, of)),
        asked(|| statistics::read(reader, &database.schemas, of)),
    )?;
    (database.triggers, database.rules) = (triggers, rules);
    (database.policies, database.statistics) = (policies, statistics);
    Ok(database)
}

/// Lists of the whole catalog, for which the server locks no relation of the user's.
struct General {
    dependencies: Vec<Dependency>,
    notes: headers::Notes,
}

async fn general(reader: &Reader<'_>) -> Result<General> {
    let (dependencies, comments, labels, extensions) = try_join!(
        asked(|| dependencies::read(reader)),
        asked(|| comments::read(reader)),
        asked(|| labels::read(reader)),
        asked(|| extensions::depends(reader)),
    )?;
    let notes = headers::Notes {
        comments,
        labels,
        extensions,
    };
    Ok(General {
        dependencies,
        notes,
    })
}

/// OIDs of the tables whose parts a second session reads.
struct Tables {
    indexed: Vec<Oid>,
    referring: Vec<Oid>,
    checked: Vec<Oid>,
}

impl Tables {
    fn of(relations: &[Relation]) -> Self {
        Self {
            indexed: indexes::tables(relations),
            referring: foreign_keys::tables(relations),
            checked: checks::tables(relations),
        }
    }
}

/// What a second session reads of tables meanwhile.
struct Beside {
    indexes: indexes::Words,
    foreign_keys: Vec<foreign_keys::Found>,
    checks: Vec<checks::Found>,
}

/// Long lists for which the server only takes locks that the dump has. The second session does not have
/// them: behind somebody who waits for the leader it would wait, and gives up soon.
async fn of_tables(reader: &Reader<'_>, tables: &Tables) -> Result<Beside> {
    let (checks, indexes, foreign_keys) = try_join!(
        asked(|| checks::rows(reader, &tables.checked)),
        asked(|| indexes::rows(reader, &tables.indexed)),
        asked(|| foreign_keys::rows(reader, &tables.referring)),
    )?;
    Ok(Beside {
        indexes,
        foreign_keys,
        checks,
    })
}

/// None where a session waited for a lock in vain.
fn unless_locked<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.sqlstate() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(None),
        read => read.map(Some),
    }
}

async fn server(client: &Client) -> Result<(bool, String)> {
    let rows = client.query_typed(SERVER, &[]).await?;
    let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
    match rows.as_slice() {
        [row] => Ok((row.try_get(0)?, row.try_get(1)?)),
        _ => Err(Error::new(Kind::Failed, "read server: not one row")),
    }
}

/// Every catalog query for a server of this version, by name, so that a test can have each of
/// them prepared.
#[doc(hidden)]
pub fn all_queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    let mut all = vec![("server", SERVER.to_owned())];
    for queries in [
        roles::queries,
        extensions::queries,
        schemas::queries,
        select::queries,
        database::queries,
        languages::queries,
        collations::queries,
        types::queries,
        functions::queries,
        casts::queries,
        aggregates::queries,
        operators::queries,
        operator_classes::queries,
        access_methods::queries,
        conversions::queries,
        transforms::queries,
        text_search::queries,
        foreign::queries,
        publications::queries,
        subscriptions::queries,
        event_triggers::queries,
        default_acls::queries,
        large_objects::queries,
        detail::queries,
        dependencies::queries,
        comments::queries,
        labels::queries,
        losses::queries,
        stability::queries,
        remarks::queries,
        row_form::queries,
        globals::queries,
        planner_statistics::queries,
    ] {
        all.extend(queries(version));
    }
    all
}
