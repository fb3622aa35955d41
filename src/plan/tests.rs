//! Plans of small archives, and of random ones.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::archive::Sections;
use crate::archive::{
    CopyFormat, DataSpec, Entry, EntryId, Form, Lock, LockMode, Pass, Piece, Section,
};
use crate::error::Kind;
use crate::sql::{Quoting, ServerVersion, qualified};

pub(super) fn entry(id: EntryId, kind: &str, name: &str, section: Section) -> Entry {
    Entry {
        schema: Some("public".to_owned()),
        create: vec![format!("CREATE {kind} {name}")],
        drop: vec![format!("DROP {kind} IF EXISTS {name}")],
        ..Entry::new(id, kind, name, section)
    }
}

fn rows(id: EntryId, table: &str, on: EntryId) -> Entry {
    Entry {
        relation: Some(table.to_owned()),
        create: Vec::new(),
        drop: Vec::new(),
        depends_on: vec![on],
        data: Some(DataSpec::Table {
            format: CopyFormat::Text,
            columns: vec!["a".to_owned()],
            types: Vec::new(),
            declared: Vec::new(),
            copy_out: format!("COPY public.{table} (a) TO STDOUT"),
            copy_in: format!("COPY public.{table} (a) FROM STDIN"),
        }),
        ..entry(id, "TABLE DATA", table, Section::Data)
    }
}

fn on(mut entry: Entry, relation: &str, depends_on: &[EntryId]) -> Entry {
    entry.relation = Some(relation.to_owned());
    entry.depends_on = depends_on.to_vec();
    entry
}

/// A key or foreign key of a table in two pieces, as `ddl` gives them.
fn in_pieces(of: &Entry, table: EntryId) -> Vec<Piece> {
    let is_key = of.kind == "CONSTRAINT";
    let modes = match is_key {
        true => [(LockMode::Share, None), (LockMode::AccessExclusive, None)],
        false => [
            (
                LockMode::ShareRowExclusive,
                Some(LockMode::ShareRowExclusive),
            ),
            (LockMode::ShareUpdateExclusive, Some(LockMode::RowShare)),
        ],
    };
    let others = of.locks.iter().filter(|lock| lock.on != table);
    let pieces = modes.into_iter().map(|(own, other)| {
        let others = others.clone().filter_map(|lock| {
            Some(Lock {
                on: lock.on,
                mode: other?,
            })
        });
        Piece {
            create: vec![format!("{own:?}")],
            locks: [Lock {
                on: table,
                mode: own,
            }]
            .into_iter()
            .chain(others)
            .collect(),
        }
    });
    pieces.collect()
}

/// Two tables with rows, a key each, a foreign key from the second to the first, a view.
fn shop() -> Vec<Entry> {
    let mut database = entry(1, "DATABASE", "shop", Section::PreData);
    database.schema = None;
    let mut schema = entry(2, "SCHEMA", "sales", Section::PreData);
    schema.schema = None;
    let mut entries = vec![
        database,
        schema,
        entry(3, "TABLE", "customers", Section::PreData),
        entry(4, "TABLE", "orders", Section::PreData),
        entry(5, "VIEW", "open_orders", Section::PreData),
        rows(6, "customers", 3),
        rows(7, "orders", 4),
        on(
            entry(8, "CONSTRAINT", "customers_pkey", Section::PostData),
            "customers",
            &[3],
        ),
        on(
            entry(9, "INDEX", "orders_customer", Section::PostData),
            "orders",
            &[4],
        ),
        on(
            entry(10, "FK CONSTRAINT", "orders_fkey", Section::PostData),
            "orders",
            &[3, 4, 8],
        ),
        entry(11, "PUBLICATION", "everything", Section::PostData),
        entry(12, "MATERIALIZED VIEW DATA", "totals", Section::PostData),
    ];
    entries[4].depends_on = vec![4];
    entries[4].privileges = vec!["GRANT SELECT ON public.open_orders TO PUBLIC".to_owned()];
    entries[9].locks = vec![
        Lock {
            on: 3,
            mode: LockMode::ShareRowExclusive,
        },
        Lock {
            on: 4,
            mode: LockMode::ShareRowExclusive,
        },
    ];
    entries[10].schema = None;
    entries[11].pass = Pass::Last;
    entries[11].depends_on = vec![5];
    entries
}

/// A table or schema is in a publication only if both are restored.
#[test]
fn a_publication_that_is_not_restored_gets_no_members() {
    let mut entries = shop();
    entries.push(on(
        entry(
            13,
            "PUBLICATION TABLE",
            "everything orders",
            Section::PostData,
        ),
        "orders",
        &[4, 11],
    ));
    let mut schema = entry(
        14,
        "PUBLICATION TABLES IN SCHEMA",
        "everything sales",
        Section::PostData,
    );
    schema.schema = Some("sales".to_owned());
    schema.depends_on = vec![2, 11];
    entries.push(schema);
    let all = restored(&plan_of(&entries, &Choices::default()));
    assert!(all.contains(&13) && all.contains(&14), "{all:?}");
    for filter in [
        EntryFilter {
            tables: vec!["orders".to_owned()],
            ..EntryFilter::default()
        },
        EntryFilter {
            schemas: vec!["public".to_owned(), "sales".to_owned()],
            ..EntryFilter::default()
        },
    ] {
        let choices = Choices {
            filter,
            ..Choices::default()
        };
        let some = restored(&plan_of(&entries, &choices));
        assert!(some.contains(&4), "{some:?}");
        for id in [11, 13, 14] {
            assert!(!some.contains(&id), "{some:?}");
        }
    }
}

fn sizes(id: EntryId) -> Option<u64> {
    match id {
        6 => Some(100),
        7 => Some(5000),
        _ => None,
    }
}

fn plan_of(entries: &[Entry], choices: &Choices) -> Plan {
    build(entries, sizes, choices).unwrap()
}

fn step_of(plan: &Plan, entry: EntryId, work: Work) -> &Step {
    plan.steps
        .iter()
        .find(|step| step.entry == Some(entry) && step.work == work)
        .unwrap_or_else(|| panic!("no {work:?} of entry {entry}"))
}

fn restored(plan: &Plan) -> Vec<EntryId> {
    let ids: BTreeSet<EntryId> = plan.steps.iter().filter_map(|step| step.entry).collect();
    ids.into_iter().collect()
}

fn reason(plan: &Plan, entry: EntryId) -> &str {
    &plan
        .omitted
        .iter()
        .find(|o| o.entry == entry)
        .unwrap()
        .reason
}

#[test]
fn indexes_wait_for_their_rows_and_foreign_keys_for_both_sides() {
    let plan = plan_of(&shop(), &Choices::default());
    let customers = step_of(&plan, 6, Work::Rows).id;
    let orders = step_of(&plan, 7, Work::Rows).id;
    let key = step_of(&plan, 8, Work::Statements);
    let index = step_of(&plan, 9, Work::Statements);
    let fk = step_of(&plan, 10, Work::Statements);
    assert!(key.depends_on.contains(&customers) && !key.depends_on.contains(&orders));
    assert!(index.depends_on.contains(&orders) && !index.depends_on.contains(&customers));
    for before in [customers, orders, key.id] {
        assert!(fk.depends_on.contains(&before));
    }
    // What touches no relation waits for all rows.
    let publication = step_of(&plan, 11, Work::Statements);
    let all_rows = plan
        .steps
        .iter()
        .find(|s| s.work == Work::Barrier(Barrier::Rows))
        .unwrap();
    assert!(publication.depends_on.contains(&all_rows.id));
    assert_eq!(index.cost, 5000);
    assert_eq!(key.priority, 100 + fk.priority);
    assert_eq!(reason(&plan, 1), "only with --create");
}

/// A key whose table has another index, and a foreign key, are made in pieces: the long one takes the
/// weaker lock, and the foreign key waits for the index of the key alone.
#[test]
fn keys_and_foreign_keys_are_made_in_pieces() {
    let mut entries = shop();
    entries[8].relation = Some("customers".to_owned());
    entries[8].depends_on = vec![3];
    entries[7].split = in_pieces(&entries[7], 3);
    entries[9].split = in_pieces(&entries[9], 4);
    let mut choices = Choices {
        sessions: 2,
        in_pieces: InPieces::All,
        ..Choices::default()
    };
    let large = |_| Some(1 << 30);
    let pieces = |plan: &Plan, entry: EntryId| -> Vec<Step> {
        let steps = plan.steps_of(Work::Statements);
        let steps = steps.filter(|(_, of)| *of == entry);
        steps.map(|(step, _)| step.clone()).collect()
    };
    let plan = build(&entries, large, &choices).unwrap();
    let [index, constraint] = &pieces(&plan, 8)[..] else {
        panic!("{plan}")
    };
    assert_eq!((index.piece, constraint.piece), (Some(0), Some(1)));
    assert_eq!((index.cost, constraint.cost), (1 << 30, 0));
    assert_eq!(index.locks[0].mode, LockMode::Share);
    assert!(constraint.depends_on.contains(&index.id));
    let [added, validated] = &pieces(&plan, 10)[..] else {
        panic!("{plan}")
    };
    assert_eq!((added.cost, validated.cost), (0, 1 << 30));
    assert!(added.depends_on.contains(&index.id));
    assert!(!added.depends_on.contains(&constraint.id));
    assert_eq!(
        validated.name,
        "FK CONSTRAINT public.orders orders_fkey (2 of 2)"
    );
    // What comes behind it is behind the whole of it.
    assert!(added.priority >= validated.priority && index.priority > added.priority);

    // Where what fails must not stay, foreign keys are made at once; with one session all is.
    choices.in_pieces = InPieces::Keys;
    let plan = build(&entries, large, &choices).unwrap();
    assert_eq!((pieces(&plan, 8).len(), pieces(&plan, 10).len()), (2, 1));
    choices.in_pieces = InPieces::Nothing;
    let plan = build(&entries, large, &choices).unwrap();
    assert_eq!((pieces(&plan, 8).len(), pieces(&plan, 10).len()), (1, 1));

    // The only index of its table is made with its constraint.
    entries[8].relation = Some("orders".to_owned());
    choices.in_pieces = InPieces::All;
    let plan = build(&entries, large, &choices).unwrap();
    assert_eq!((pieces(&plan, 8).len(), pieces(&plan, 10).len()), (1, 2));
}

/// Foreign keys of one table keep each other waiting, indexes do not: they come first.
#[test]
fn what_can_only_be_done_in_turn_comes_before_what_can_be_done_side_by_side() {
    let mut entries = shop();
    for name in ["a", "b", "c"] {
        let id = EntryId::try_from(entries.len() + 1).unwrap();
        entries.push(on(
            entry(id, "INDEX", name, Section::PostData),
            "orders",
            &[4],
        ));
    }
    let trigger = entry(16, "TRIGGER", "t", Section::PostData);
    entries.push(on(trigger, "orders", &[4]));
    entries[9].split = in_pieces(&entries[9], 4);
    let choices = Choices {
        sessions: 2,
        in_pieces: InPieces::All,
        ..Choices::default()
    };
    let plan = build(&entries, |_| Some(2 << 20), &choices).unwrap();
    let fk = plan.steps.iter().find(|s| s.piece == Some(1)).unwrap();
    let index = step_of(&plan, 13, Work::Statements);
    // Itself, and half of four indexes.
    assert_eq!(fk.priority, (2 << 20) + (4 << 20));
    assert_eq!(index.priority, 2 << 20);
    let trigger = step_of(&plan, 16, Work::Statements);
    assert_eq!((trigger.cost, trigger.priority), (0, 0));
}

/// However many wait for one table, a walk looks at few of them.
#[test]
fn a_walk_does_not_look_again_and_again_at_what_waits() {
    let count = 5_000;
    let mut entries = vec![entry(1, "TABLE", "hub", Section::PreData)];
    for n in 0..count {
        let id = EntryId::try_from(entries.len() + 1).unwrap();
        let table = format!("t{n}");
        entries.push(entry(id, "TABLE", &table, Section::PreData));
    }
    for n in 0..count {
        let id = EntryId::try_from(entries.len() + 1).unwrap();
        let table = n + 2;
        let key = entry(id, "FK CONSTRAINT", "key", Section::PostData);
        let mut key = on(key, &format!("t{n}"), &[1, table]);
        key.locks = [1, table]
            .map(|on| Lock {
                on,
                mode: LockMode::ShareRowExclusive,
            })
            .to_vec();
        entries.push(key);
    }
    let plan = build(&entries, |_| None, &Choices::default()).unwrap();
    let mut schedule = Schedule::new(&plan);
    while !schedule.is_done() {
        let taken: Vec<&Step> = std::iter::from_fn(|| schedule.take(|_| true)).collect();
        taken.iter().for_each(|step| schedule.finish(step.id));
    }
    let steps = plan.steps.len() as u64;
    assert!(schedule.looks() <= 4 * steps, "{} looks", schedule.looks());
}

#[test]
fn rows_of_partitions_come_before_what_stands_on_the_root() {
    let mut entries = vec![
        entry(1, "TABLE", "root", Section::PreData),
        entry(2, "TABLE", "part", Section::PreData),
        on(
            entry(3, "TABLE ATTACH", "part", Section::PreData),
            "root",
            &[1, 2],
        ),
        rows(4, "part", 2),
        on(
            entry(5, "TRIGGER", "audit", Section::PostData),
            "root",
            &[1],
        ),
        on(entry(6, "INDEX", "part_a", Section::PostData), "part", &[2]),
    ];
    let check = |entries: &[Entry]| {
        let plan = plan_of(entries, &Choices::default());
        let part = step_of(&plan, 4, Work::Rows).id;
        let trigger = step_of(&plan, 5, Work::Statements);
        assert!(trigger.depends_on.contains(&part));
        let locked: Vec<EntryId> = trigger.locks.iter().map(|lock| lock.on).collect();
        assert_eq!(locked, [1, 2]);
        assert_eq!(step_of(&plan, 6, Work::Statements).locks.len(), 1);
    };
    check(&entries);
    entries[2].relation = Some("part".to_owned());
    check(&entries);
    entries[2].relation = None;
    check(&entries);
}

#[test]
fn a_table_is_taken_with_what_hangs_on_it() {
    let mut choices = Choices::default();
    choices.filter.tables = vec!["orders".to_owned()];
    let plan = plan_of(&shop(), &choices);
    assert_eq!(restored(&plan), [4, 7, 9]);
    assert_eq!(reason(&plan, 10), "TABLE public.customers is not restored");
    assert_eq!(reason(&plan, 5), "not selected by name");

    choices.filter.tables = vec!["*.customers".to_owned(), "orders".to_owned()];
    let plan = plan_of(&shop(), &choices);
    assert_eq!(restored(&plan), [3, 4, 6, 7, 8, 9, 10]);

    choices.filter.tables = vec!["nothing".to_owned()];
    let error = build(&shop(), sizes, &choices).unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
}

#[test]
fn an_owned_sequence_goes_with_its_table() {
    let entries = vec![
        entry(1, "TABLE", "t", Section::PreData),
        entry(2, "SEQUENCE", "t_id_seq", Section::PreData),
        on(
            entry(3, "SEQUENCE OWNED BY", "t_id_seq", Section::PreData),
            "t",
            &[1, 2],
        ),
        on(entry(4, "DEFAULT", "t id", Section::PreData), "t", &[1, 2]),
        on(
            entry(5, "SEQUENCE SET", "t_id_seq", Section::Data),
            "t_id_seq",
            &[2],
        ),
        entry(6, "SEQUENCE", "other", Section::PreData),
    ];
    let mut choices = Choices::default();
    choices.filter.tables = vec!["t".to_owned()];
    assert_eq!(restored(&plan_of(&entries, &choices)), [1, 2, 3, 4, 5]);
}

#[test]
fn exclusions_take_what_hangs_on_them_and_ties_along() {
    let mut choices = Choices::default();
    choices.filter.exclude_tables = vec!["customers".to_owned()];
    let plan = plan_of(&shop(), &choices);
    assert_eq!(restored(&plan), [2, 4, 5, 7, 9, 11, 12]);
    choices.filter.exclude_tables = Vec::new();
    choices.filter.exclude_table_data = vec!["customers".to_owned()];
    let plan = plan_of(&shop(), &choices);
    assert_eq!(restored(&plan), [2, 3, 4, 5, 7, 8, 9, 10, 11, 12]);
}

#[test]
fn parts_and_sections() {
    let definitions = Choices {
        parts: Parts::Definitions,
        ..Choices::default()
    };
    assert_eq!(
        restored(&plan_of(&shop(), &definitions)),
        [2, 3, 4, 5, 8, 9, 10, 11]
    );
    let only_rows = Choices {
        parts: Parts::Rows,
        ..Choices::default()
    };
    let plan = plan_of(&shop(), &only_rows);
    assert_eq!(restored(&plan), [6, 7, 12]);
    assert!(!plan.makes_definitions());
    assert_eq!(
        plan.needed.iter().map(|n| n.entry).collect::<Vec<_>>(),
        [3, 4, 5]
    );

    // Indexes still wait for the rows when the tables are already there.
    let later = Choices {
        sections: Sections {
            pre_data: false,
            ..Sections::ALL
        },
        ..Choices::default()
    };
    let plan = plan_of(&shop(), &later);
    let orders = step_of(&plan, 7, Work::Rows).id;
    assert!(
        step_of(&plan, 9, Work::Statements)
            .depends_on
            .contains(&orders)
    );
}

#[test]
fn passes_stand_one_behind_the_other() {
    let plan = plan_of(&shop(), &Choices::default());
    let refresh = step_of(&plan, 12, Work::Statements);
    let grant = step_of(&plan, 5, Work::Privileges);
    assert!(grant.id < refresh.id);
    assert_eq!(grant.pass, Pass::Privileges);
    assert_eq!(refresh.pass, Pass::Last);
    let choices = Choices {
        leave_out: LeaveOut {
            privileges: true,
            ..LeaveOut::default()
        },
        ..Choices::default()
    };
    let plan = plan_of(&shop(), &choices);
    assert!(plan.steps.iter().all(|step| step.work != Work::Privileges));
}

#[test]
fn clean_drops_backwards_and_create_replaces_it() {
    let mut choices = Choices {
        clean: true,
        ..Choices::default()
    };
    let plan = plan_of(&shop(), &choices);
    assert_eq!(plan.drops, [12, 11, 10, 9, 8, 5, 4, 3, 2]);
    assert!(plan.database.is_empty());
    choices.create = true;
    let plan = plan_of(&shop(), &choices);
    assert!(plan.drops.is_empty());
    assert_eq!(plan.database, [1]);
}

#[test]
fn a_table_of_contents_that_lies_is_refused() {
    let mut entries = shop();
    entries[3].depends_on = vec![7];
    let error = build(&entries, sizes, &Choices::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Archive);
    let mut entries = shop();
    entries[3].locks = vec![Lock {
        on: 99,
        mode: LockMode::Share,
    }];
    let error = build(&entries, sizes, &Choices::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Archive);
    let mut entries = shop();
    entries[3].id = 9;
    let error = build(&entries, sizes, &Choices::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Archive);
}

#[test]
fn rows_wait_for_statements_and_for_rows_that_come_first() {
    let mut blobs = rows(3, "blobs", 2);
    blobs.kind = "BLOBS".to_owned();
    blobs.data = Some(DataSpec::LargeObjects);
    let mut later = rows(4, "t", 1);
    later.depends_on = vec![1, 3];
    let entries = vec![
        entry(1, "TABLE", "t", Section::PreData),
        entry(2, "BLOB METADATA", "blobs", Section::Data),
        blobs,
        later,
    ];
    let plan = build(&entries, |_| None, &Choices::default()).unwrap();
    let made = step_of(&plan, 2, Work::Statements).id;
    let filled = step_of(&plan, 3, Work::LargeObjects);
    assert!(filled.depends_on.contains(&made));
    let loaded = step_of(&plan, 4, Work::Rows);
    assert!(loaded.depends_on.contains(&filled.id));
}

#[test]
fn plans_are_shown() {
    let mut choices = Choices::default();
    choices.filter.tables = vec!["orders".to_owned()];
    let plan = plan_of(&shop(), &choices);
    let text = plan.to_string();
    assert!(
        text.contains("TABLE DATA public.orders, 5000 bytes"),
        "{text}"
    );
    assert!(
        text.contains("left out: VIEW public.open_orders: not selected by name"),
        "{text}"
    );
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"][0]["work"], "statements");
}

fn on_13(choices: Choices) -> Choices {
    Choices {
        target: Some(ServerVersion::from_num(130_005)),
        ..choices
    }
}

#[test]
fn an_older_target_gets_its_forms() {
    let mut entries = shop();
    entries[3].privileges = vec!["GRANT MAINTAIN".to_owned()];
    entries[3].roles = vec!["maintainer".to_owned()];
    entries[3].forms = vec![
        Form {
            before: Some(14),
            create: Some(vec!["CREATE TABLE otherwise".to_owned()]),
            notes: vec!["something".to_owned()],
            ..Form::default()
        },
        Form {
            since: Some(14),
            before: Some(17),
            privileges: Some(Vec::new()),
            ..Form::default()
        },
    ];
    for (major, create, privileges, notes) in [
        (13, "CREATE TABLE otherwise", 1, Some(1)),
        (14, "CREATE TABLE orders", 0, Some(0)),
        (16, "CREATE TABLE orders", 0, Some(0)),
        (17, "CREATE TABLE orders", 1, None),
    ] {
        let target = ServerVersion::from_num(major * 10_000);
        let choices = Choices {
            target: Some(target),
            ..Choices::default()
        };
        let mut entries = entries.clone();
        adapt(&mut entries, target);
        assert_eq!(entries[3].create, [create], "{major}");
        assert_eq!(entries[3].privileges.len(), privileges, "{major}");
        assert_eq!(entries[3].roles.len(), privileges, "{major}");
        let plan = plan_of(&entries, &choices);
        let told = plan.adapted.first().map(|adapted| adapted.notes.len());
        assert_eq!(told, notes, "{major}");
        // Where only privileges differ and nobody wants them, there is nothing to tell.
        let choices = Choices {
            leave_out: LeaveOut {
                privileges: true,
                ..LeaveOut::default()
            },
            ..choices
        };
        let told = plan_of(&entries, &choices).adapted.len();
        assert_eq!(told, usize::from(major == 13), "{major}");
    }
}

#[test]
fn what_a_target_cannot_have_goes_with_all_that_needs_it() {
    let mut entries = shop();
    entries[2].forms = vec![Form {
        before: Some(15),
        impossible: Some("something of 15".to_owned()),
        ..Form::default()
    }];
    let plan = plan_of(&entries, &on_13(Choices::default()));
    // The table, its rows, its key, the foreign key to it.
    assert_eq!(restored(&plan), [2, 4, 5, 7, 9, 11, 12]);
    let impossible: Vec<EntryId> = plan.impossible.iter().map(|o| o.entry).collect();
    assert_eq!(impossible, [3, 6, 8, 10]);
    assert_eq!(
        reason(&plan, 3),
        "PostgreSQL 13 does not have something of 15"
    );
    assert_eq!(reason(&plan, 6), "it needs TABLE public.customers");
    let text = plan.to_string();
    assert!(
        text.contains("impossible: TABLE public.customers: "),
        "{text}"
    );
    let rows = "impossible: TABLE DATA public.customers: it needs TABLE public.customers\n";
    assert!(text.contains(rows), "{text}");
    // What is not wanted need not be possible; neither on a target that the form is not for.
    let only_rows = Choices {
        parts: Parts::Rows,
        ..Choices::default()
    };
    assert!(plan_of(&entries, &on_13(only_rows)).impossible.is_empty());
    let newer = Choices {
        target: Some(ServerVersion::from_num(150_000)),
        ..Choices::default()
    };
    let plan = plan_of(&entries, &newer);
    assert_eq!(plan, plan_of(&entries, &Choices::default()));
    assert!(plan.impossible.is_empty());
}

/// A partition with a column of an own type in another schema, a default from a function, an index
/// attached to its parent's, a foreign key; and what nobody needs.
fn tree() -> Vec<Entry> {
    let mut entries = vec![
        entry(1, "SCHEMA", "kinds", Section::PreData),
        entry(2, "TYPE", "mood", Section::PreData),
        entry(3, "FUNCTION", "now_or_never()", Section::PreData),
        entry(4, "TABLE", "events", Section::PreData),
        entry(5, "TABLE", "events_1", Section::PreData),
        on(
            entry(6, "TABLE ATTACH", "events_1", Section::PreData),
            "events_1",
            &[4, 5],
        ),
        entry(7, "TABLE", "events_2", Section::PreData),
        on(
            entry(8, "TABLE ATTACH", "events_2", Section::PreData),
            "events_2",
            &[4, 7],
        ),
        entry(9, "TABLE", "users", Section::PreData),
        rows(10, "events_1", 5),
        rows(11, "events_2", 7),
        rows(12, "users", 9),
        on(
            entry(13, "INDEX", "events_a", Section::PostData),
            "events",
            &[4],
        ),
        on(
            entry(14, "INDEX", "events_1_a", Section::PostData),
            "events_1",
            &[5],
        ),
        on(
            entry(15, "INDEX ATTACH", "events_1_a", Section::PostData),
            "events_1",
            &[5, 13, 14],
        ),
        on(
            entry(16, "FK CONSTRAINT", "events_user", Section::PostData),
            "events_1",
            &[5, 9],
        ),
        on(
            entry(17, "TRIGGER", "audit", Section::PostData),
            "events_1",
            &[3, 5],
        ),
    ];
    entries[0].schema = None;
    entries[1].schema = Some("kinds".to_owned());
    entries[1].depends_on = vec![1];
    entries[4].depends_on = vec![2, 3];
    entries
}

fn choosing(filter: EntryFilter) -> Choices {
    Choices {
        filter,
        ..Choices::default()
    }
}

fn texts(patterns: &[&str]) -> Vec<String> {
    patterns.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn what_a_selected_object_needs_comes_along() {
    let mut choices = choosing(EntryFilter {
        tables: texts(&["events_1"]),
        ..EntryFilter::default()
    });
    let plan = plan_of(&tree(), &choices);
    assert_eq!(restored(&plan), [1, 2, 3, 4, 5, 6, 10, 14, 17]);
    let pulled: Vec<(EntryId, &str)> = plan
        .pulled
        .iter()
        .map(|it| (it.entry, it.needed_by.as_str()))
        .collect();
    assert_eq!(
        pulled,
        [
            (1, "TYPE kinds.mood"),
            (2, "TABLE public.events_1"),
            (3, "TRIGGER public.events_1 audit"),
            (4, "TABLE ATTACH public.events_1 events_1"),
        ]
    );
    assert!(plan.needed.is_empty(), "{:?}", plan.needed);
    // What ties it to others is named.
    let ties: Vec<EntryId> = plan
        .omitted
        .iter()
        .filter(|it| it.cause == Cause::OtherEnd)
        .map(|it| it.entry)
        .collect();
    assert_eq!(ties, [15, 16]);
    assert_eq!(reason(&plan, 16), "TABLE public.users is not restored");
    let text = plan.to_string();
    assert!(text.contains("pulled in: TYPE kinds.mood: needed by TABLE public.events_1"));

    // Nothing of what came along is dropped.
    choices.clean = true;
    assert_eq!(
        plan_of(&tree(), &choices).drops,
        [17, 14, 10, 6, 5]
            .into_iter()
            .filter(|id| *id != 10)
            .collect::<Vec<EntryId>>()
    );

    // What the target has is not made again, nor what only that needs.
    choices.present = BTreeSet::from([2, 4]);
    let plan = plan_of(&tree(), &choices);
    assert_eq!(restored(&plan), [3, 5, 6, 10, 14, 17]);
    let needed: Vec<(EntryId, bool)> = plan.needed.iter().map(|n| (n.entry, n.found)).collect();
    assert_eq!(needed, [(2, true), (4, true)]);
    assert!(
        plan.to_string()
            .contains("there already, not made again: TYPE kinds.mood")
    );

    choices.present = BTreeSet::new();
    choices.filter.needs = Needs::LeftOut;
    let plan = plan_of(&tree(), &choices);
    assert_eq!(restored(&plan), [5, 10, 14, 17]);
    assert!(plan.pulled.is_empty());
    let needed: Vec<(EntryId, bool)> = plan.needed.iter().map(|n| (n.entry, n.found)).collect();
    assert_eq!(needed, [(2, false), (3, false)]);

    // What is excluded by name is not pulled in.
    choices.filter.needs = Needs::PulledIn;
    choices.filter.exclude_schemas = texts(&["kinds"]);
    let plan = plan_of(&tree(), &choices);
    assert_eq!(restored(&plan), [3, 4, 5, 6, 10, 14, 17]);
    assert_eq!(plan.needed.len(), 1);
}

/// `public` has an entry for its privileges, and is there; a member of an extension that has some
/// comes with the extension.
#[test]
fn what_others_make_is_passed_through() {
    let mut entries = vec![
        entry(1, "SCHEMA", "public", Section::PreData),
        entry(2, "EXTENSION", "citext", Section::PreData),
        entry(3, "TYPE", "citext", Section::PreData),
        entry(4, "TABLE", "t", Section::PreData),
    ];
    entries[0].create = Vec::new();
    entries[2].create = Vec::new();
    entries[2].depends_on = vec![2];
    entries[3].depends_on = vec![1, 3];
    let filter = EntryFilter {
        tables: texts(&["t"]),
        ..EntryFilter::default()
    };
    let plan = plan_of(&entries, &choosing(filter));
    assert_eq!(restored(&plan), [2, 4]);
    assert_eq!(plan.pulled[0].needed_by, "TABLE public.t");
    assert!(plan.needed.is_empty(), "{:?}", plan.needed);
}

/// Attached to a parent that was there before, a partition without its index would get another.
#[test]
fn a_partition_joins_a_parent_that_is_there_with_its_own_indexes() {
    let choices = Choices {
        present: BTreeSet::from([1, 2, 3, 4]),
        ..choosing(EntryFilter {
            tables: texts(&["events_1"]),
            ..EntryFilter::default()
        })
    };
    let plan = plan_of(&tree(), &choices);
    assert_eq!(restored(&plan), [5, 6, 10, 14, 17]);
    let attach = step_of(&plan, 6, Work::Statements);
    for before in [
        step_of(&plan, 10, Work::Rows),
        step_of(&plan, 14, Work::Statements),
    ] {
        assert!(attach.depends_on.contains(&before.id), "{}", before.name);
    }
    // Rows that go through the root need it first.
    let mut entries = tree();
    load_via_root(&mut entries);
    let plan = plan_of(&entries, &choices);
    assert!(step_of(&plan, 6, Work::Statements).id < step_of(&plan, 10, Work::Rows).id);
}

#[test]
fn indexes_functions_and_triggers_are_selected_by_name() {
    for (filter, expected) in [
        (
            EntryFilter {
                indexes: texts(&["events_1_a"]),
                ..EntryFilter::default()
            },
            &[1, 2, 3, 4, 5, 6, 14][..],
        ),
        (
            EntryFilter {
                functions: texts(&["now_or_never()"]),
                ..EntryFilter::default()
            },
            &[3],
        ),
        (
            EntryFilter {
                triggers: texts(&["events_1.audit"]),
                needs: Needs::LeftOut,
                ..EntryFilter::default()
            },
            &[17],
        ),
        (
            EntryFilter {
                tables_and_children: texts(&["events"]),
                needs: Needs::LeftOut,
                ..EntryFilter::default()
            },
            &[4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 17],
        ),
        (
            EntryFilter {
                exclude_tables_and_children: texts(&["events"]),
                ..EntryFilter::default()
            },
            &[1, 2, 3, 9, 12],
        ),
        (
            EntryFilter {
                tables: texts(&["users"]),
                exclude_table_data_and_children: texts(&["*"]),
                ..EntryFilter::default()
            },
            &[9],
        ),
    ] {
        let plan = plan_of(&tree(), &choosing(filter.clone()));
        assert_eq!(restored(&plan), expected, "{filter:?}");
    }
    // Each pattern must match on demand; at least one in any case.
    let mut filter = EntryFilter {
        functions: texts(&["now_or_never"]),
        indexes: texts(&["nothing"]),
        ..EntryFilter::default()
    };
    build(&tree(), sizes, &choosing(filter.clone())).unwrap();
    filter.strict_names = true;
    let error = build(&tree(), sizes, &choosing(filter)).unwrap_err();
    assert_eq!(error.message(), "nothing matches \"nothing\"");
}

/// Tables that need others without being their children, and those that inherit, at two levels.
fn heirs(quoting: Quoting) -> Vec<Entry> {
    let name = |name: &str| quoting.scope(|| qualified("public", name));
    let table = |id, own: &str, needs: &[EntryId], tail: &str| Entry {
        depends_on: needs.to_vec(),
        create: vec![format!(
            "CREATE TABLE {} (\n    a integer\n){tail}",
            name(own)
        )],
        ..entry(id, "TABLE", own, Section::PreData)
    };
    let (log, odd) = (name("log"), name("a), \"b\", c"));
    let mut entries = vec![
        entry(1, "SEQUENCE", "log_ids", Section::PreData),
        table(2, "log", &[], ""),
        table(3, "a), \"b\", c", &[], ""),
        // A column of the type of its rows, a default that reads like a clause.
        table(4, "holder", &[2], &format!("\nWITH (x='INHERITS ({log})')")),
        table(5, "events", &[1], ""),
        table(6, "child", &[2, 3], &format!("\nINHERITS ({odd}, {log})")),
        table(
            7,
            "grandchild",
            &[1, 6],
            &format!("\nINHERITS ({})", name("child")),
        ),
        table(8, "adopted", &[2], ""),
        rows(9, "log", 2),
        rows(10, "holder", 4),
        rows(11, "events", 5),
        rows(12, "child", 6),
        rows(13, "grandchild", 7),
        rows(14, "adopted", 8),
    ];
    let adopts = format!("ALTER TABLE {} INHERIT {log}", name("adopted"));
    entries[7].create.push(adopts);
    entries
}

#[test]
fn children_are_what_inherits_not_what_needs() {
    for quoting in [Quoting::WhereNeeded, Quoting::Always] {
        for (filter, expected) in [
            (
                EntryFilter {
                    exclude_table_data_and_children: texts(&["log"]),
                    ..EntryFilter::default()
                },
                vec![1, 2, 3, 4, 5, 6, 7, 8, 10, 11],
            ),
            (
                EntryFilter {
                    exclude_tables_and_children: texts(&["log*"]),
                    ..EntryFilter::default()
                },
                vec![3, 4, 5, 10, 11],
            ),
            (
                EntryFilter {
                    tables_and_children: texts(&["log"]),
                    needs: Needs::LeftOut,
                    ..EntryFilter::default()
                },
                vec![2, 6, 7, 8, 9, 12, 13, 14],
            ),
            (
                EntryFilter {
                    tables_and_children: texts(&["\"a), \"\"b\"\", c\""]),
                    needs: Needs::LeftOut,
                    ..EntryFilter::default()
                },
                vec![3, 6, 7, 12, 13],
            ),
        ] {
            let plan = plan_of(&heirs(quoting), &choosing(filter.clone()));
            assert_eq!(restored(&plan), expected, "{filter:?}");
        }
    }
    // Where there are rows alone, they are found by name.
    let mut alone = vec![rows(1, "log", 1), rows(2, "events", 1)];
    for rows in &mut alone {
        rows.depends_on.clear();
    }
    let filter = EntryFilter {
        exclude_table_data_and_children: texts(&["log"]),
        ..EntryFilter::default()
    };
    assert_eq!(restored(&plan_of(&alone, &choosing(filter))), [2]);
}

#[test]
fn extensions_are_selected_among_themselves() {
    let mut entries = vec![
        entry(1, "EXTENSION", "hstore", Section::PreData),
        entry(2, "EXTENSION", "postgis", Section::PreData),
        entry(3, "TABLE", "t", Section::PreData),
        rows(4, "spatial_ref_sys", 2),
        on(
            entry(5, "SEQUENCE SET", "srid_seq", Section::Data),
            "srid_seq",
            &[2],
        ),
    ];
    for extension in &mut entries[..2] {
        extension.schema = None;
    }
    let of = |filter| restored(&plan_of(&entries, &choosing(filter)));
    let only = EntryFilter {
        extensions: texts(&["hst*"]),
        ..EntryFilter::default()
    };
    assert_eq!(of(only), [1, 3]);
    let without = EntryFilter {
        exclude_extensions: texts(&["postgis"]),
        ..EntryFilter::default()
    };
    assert_eq!(of(without), [1, 3]);
    let both = EntryFilter {
        extensions: texts(&["hstore"]),
        tables: texts(&["t"]),
        ..EntryFilter::default()
    };
    assert_eq!(of(both), [1, 3]);
}

#[test]
fn a_list_selects_and_moves_as_far_as_dependencies_allow() {
    let entries = tree();
    let keys = keys(&entries);
    let list = |ids: &[usize]| {
        let lines: Vec<&str> = ids.iter().map(|id| keys[id - 1].as_str()).collect();
        choosing(EntryFilter {
            use_list: Some(UseList::parse("list", &lines.join("\n")).unwrap()),
            ..EntryFilter::default()
        })
    };
    let order =
        |plan: &Plan| -> Vec<EntryId> { plan.steps.iter().filter_map(|s| s.entry).collect() };
    let all: Vec<usize> = (1..=entries.len()).collect();
    assert_eq!(
        order(&plan_of(&entries, &list(&all))),
        order(&plan_of(&entries, &Choices::default()))
    );
    // The users first, the function as late as the table that needs it allows.
    let plan = plan_of(&entries, &list(&[9, 1, 2, 4, 3, 5, 6]));
    assert_eq!(order(&plan), [9, 1, 2, 4, 3, 5, 6]);
    let plan = plan_of(&entries, &list(&[5, 9, 1, 2, 3]));
    assert_eq!(order(&plan), [1, 2, 3, 5, 9]);
    assert_eq!(reason(&plan, 4), "not in the list");
    // Nothing is pulled in for a list.
    let plan = plan_of(&entries, &list(&[5]));
    assert_eq!(restored(&plan), [5]);
    assert_eq!(plan.needed.len(), 2);
}

#[test]
fn rows_alone_follow_the_foreign_keys_of_the_target() {
    let only_rows = Choices {
        parts: Parts::Rows,
        ..Choices::default()
    };
    // From the second to the first, which here stands behind it.
    let mut entries = vec![
        entry(1, "TABLE", "orders", Section::PreData),
        entry(2, "TABLE", "customers", Section::PreData),
        rows(3, "orders", 1),
        rows(4, "customers", 2),
        on(
            entry(5, "FK CONSTRAINT", "orders_fkey", Section::PostData),
            "orders",
            &[1, 2],
        ),
    ];
    let plan = plan_of(&entries, &only_rows);
    let customers = step_of(&plan, 4, Work::Rows).id;
    assert!(
        step_of(&plan, 3, Work::Rows)
            .depends_on
            .contains(&customers)
    );
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    // Where the key is made after the rows, they need not wait.
    let plan = plan_of(&entries, &Choices::default());
    let customers = step_of(&plan, 4, Work::Rows).id;
    assert!(
        !step_of(&plan, 3, Work::Rows)
            .depends_on
            .contains(&customers)
    );
    // A pipe brings rows as it does.
    let piped = Choices {
        row_order: RowOrder::AsTheyCome,
        ..only_rows.clone()
    };
    let plan = plan_of(&entries, &piped);
    assert!(plan.warnings[0].contains("pipe"), "{:?}", plan.warnings);
    let customers = step_of(&plan, 4, Work::Rows).id;
    assert!(
        !step_of(&plan, 3, Work::Rows)
            .depends_on
            .contains(&customers)
    );

    entries.push(on(
        entry(6, "FK CONSTRAINT", "customers_fkey", Section::PostData),
        "customers",
        &[1, 2],
    ));
    entries.push(on(
        entry(7, "FK CONSTRAINT", "boss", Section::PostData),
        "customers",
        &[2],
    ));
    let plan = plan_of(&entries, &only_rows);
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
    assert!(plan.warnings[0].contains("circle between the tables public.orders, public.customers"));
    assert!(plan.warnings[1].contains("rows of public.customers refer to rows of the same table"));
    assert!(
        plan.warnings
            .iter()
            .all(|it| it.contains("--disable-triggers"))
    );
    assert_eq!(restored(&plan), [3, 4]);
    let switched = Choices {
        disable_triggers: true,
        ..only_rows
    };
    assert!(plan_of(&entries, &switched).warnings.is_empty());
}

/// A not validated foreign key looks at every new row: were it made before the rows of a partition,
/// those that do not satisfy it would be refused, although the source has them.
#[test]
fn a_foreign_key_on_a_partitioned_table_waits_for_the_rows_of_all_partitions() {
    let mut entries = tree();
    entries.push(on(
        entry(18, "FK CONSTRAINT", "events_any", Section::PostData),
        "events",
        &[4, 9],
    ));
    let plan = plan_of(&entries, &Choices::default());
    let key = step_of(&plan, 18, Work::Statements);
    for rows in [10, 11, 12] {
        let rows = step_of(&plan, rows, Work::Rows);
        assert!(key.depends_on.contains(&rows.id), "{}", rows.name);
    }
    let locked: Vec<EntryId> = key.locks.iter().map(|lock| lock.on).collect();
    assert_eq!(locked, [4, 5, 7]);
}

/// The state of a partition's trigger is set after its parent's trigger, which makes it, and the two
/// never run together.
#[test]
fn the_trigger_of_a_partition_comes_after_that_of_its_parent() {
    let mut entries = tree();
    entries.truncate(16);
    entries.push(on(
        entry(17, "TRIGGER", "audit", Section::PostData),
        "events",
        &[3, 4],
    ));
    entries.push(on(
        entry(18, "TRIGGER", "audit", Section::PostData),
        "events_1",
        &[5, 6, 17],
    ));
    let plan = plan_of(&entries, &Choices::default());
    let parent = step_of(&plan, 17, Work::Statements);
    let state = step_of(&plan, 18, Work::Statements);
    assert!(state.depends_on.contains(&parent.id));
    let shares = parent.locks.iter().any(|a| {
        let mut others = state.locks.iter();
        others.any(|b| a.on == b.on && a.mode.conflicts(b.mode))
    });
    assert!(shares);
}

/// CREATE INDEX takes SHARE, CLUSTER ON then SHARE UPDATE EXCLUSIVE on the same table: two such in
/// step with each other wait for each other. Together they are a lock that no other index shares.
#[test]
fn an_index_that_is_clustered_on_has_no_neighbour() {
    let lock = |mode| Lock { on: 5, mode };
    let mut entries = tree();
    entries[13].locks = vec![lock(LockMode::Share), lock(LockMode::ShareUpdateExclusive)];
    entries.push(on(
        entry(18, "INDEX", "events_1_b", Section::PostData),
        "events_1",
        &[5],
    ));
    entries.push(on(
        entry(19, "INDEX", "events_1_c", Section::PostData),
        "events_1",
        &[5],
    ));
    let plan = plan_of(&entries, &Choices::default());
    let mode = |id| step_of(&plan, id, Work::Statements).locks[0].mode;
    assert_eq!(mode(14), LockMode::ShareRowExclusive);
    assert!(mode(14).conflicts(mode(18)));
    assert!(!mode(18).conflicts(mode(19)));
}

#[test]
fn rows_through_the_root_hold_up_all_that_stands_on_its_tree() {
    let mut entries = tree();
    let plan = plan_of(&entries, &Choices::default());
    let other = step_of(&plan, 11, Work::Rows).id;
    assert!(
        !step_of(&plan, 14, Work::Statements)
            .depends_on
            .contains(&other)
    );

    load_via_root(&mut entries);
    assert_eq!(entries[9].depends_on, [4, 5, 6]);
    let Some(DataSpec::Table { copy_in, .. }) = &entries[10].data else {
        panic!("no rows");
    };
    assert_eq!(copy_in, "COPY public.events (a) FROM STDIN");
    let Some(DataSpec::Table { copy_in, .. }) = &entries[11].data else {
        panic!("no rows");
    };
    assert_eq!(copy_in, "COPY public.users (a) FROM STDIN");
    let plan = plan_of(&entries, &Choices::default());
    let index = step_of(&plan, 14, Work::Statements);
    for rows in [10, 11] {
        let rows = step_of(&plan, rows, Work::Rows);
        assert!(index.depends_on.contains(&rows.id), "{}", rows.name);
        let locked: Vec<EntryId> = rows.locks.iter().map(|lock| lock.on).collect();
        assert_eq!(locked, [4, 5, 7]);
    }
    // Once is enough.
    let again = entries.clone();
    load_via_root(&mut entries);
    assert_eq!(entries, again);
}

const MODES: [LockMode; 8] = [
    LockMode::AccessShare,
    LockMode::RowShare,
    LockMode::RowExclusive,
    LockMode::ShareUpdateExclusive,
    LockMode::Share,
    LockMode::ShareRowExclusive,
    LockMode::Exclusive,
    LockMode::AccessExclusive,
];

/// Archives of any shape: tables with or without rows, things on them, dependencies and locks at
/// random, all passes.
fn archives() -> impl Strategy<Value = Vec<Entry>> {
    let tables = 1..8usize;
    let others = proptest::collection::vec(
        (
            0..7u8,
            any::<prop::sample::Index>(),
            proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
            proptest::collection::vec((any::<prop::sample::Index>(), 0..8usize), 0..3),
        ),
        0..30,
    );
    let parents = proptest::collection::vec(proptest::option::of(any::<prop::sample::Index>()), 8);
    (tables, parents, others).prop_map(|(tables, parents, others)| {
        let mut entries = Vec::new();
        for n in 0..tables {
            let id = EntryId::try_from(n + 1).unwrap();
            entries.push(entry(id, "TABLE", &format!("t{n}"), Section::PreData));
        }
        // Some are partitions of others.
        for (n, parent) in parents.iter().enumerate().take(tables).skip(1) {
            if let Some(parent) = parent {
                let id = EntryId::try_from(entries.len() + 1).unwrap();
                let parent = EntryId::try_from(parent.index(n) + 1).unwrap();
                let child = EntryId::try_from(n + 1).unwrap();
                let name = format!("t{n}");
                let attach = entry(id, "TABLE ATTACH", &name, Section::PreData);
                entries.push(on(attach, &name, &[parent, child]));
            }
        }
        for n in 0..tables {
            let id = EntryId::try_from(entries.len() + 1).unwrap();
            entries.push(rows(
                id,
                &format!("t{n}"),
                EntryId::try_from(n + 1).unwrap(),
            ));
        }
        for (kind, table, depends_on, locks) in others {
            let id = EntryId::try_from(entries.len() + 1).unwrap();
            let is_split = kind > 4;
            let (kind, pass) = match kind {
                0 => ("INDEX", Pass::Main),
                1 => ("FK CONSTRAINT", Pass::Main),
                2 => ("PUBLICATION", Pass::Main),
                3 => ("DEFAULT ACL", Pass::Privileges),
                5 => ("CONSTRAINT", Pass::Main),
                6 => ("FK CONSTRAINT", Pass::Main),
                _ => ("MATERIALIZED VIEW DATA", Pass::Last),
            };
            let known = entries.len();
            let table = table.index(tables);
            let mut new = entry(id, kind, &format!("e{id}"), Section::PostData);
            let hangs = ["INDEX", "CONSTRAINT", "FK CONSTRAINT"].contains(&kind);
            new.relation = hangs.then(|| format!("t{table}"));
            new.pass = pass;
            new.depends_on = depends_on
                .iter()
                .map(|at| EntryId::try_from(at.index(known) + 1).unwrap())
                .collect();
            new.locks = locks
                .iter()
                .map(|(at, mode)| Lock {
                    on: EntryId::try_from(at.index(tables) + 1).unwrap(),
                    mode: MODES[*mode],
                })
                .collect();
            if is_split {
                new.split = in_pieces(&new, EntryId::try_from(table + 1).unwrap());
            }
            entries.push(new);
        }
        entries
    })
}

/// Some selection among entries: patterns, lists, parts, what the target has.
#[derive(Clone, Debug)]
struct Wish {
    tables: Vec<prop::sample::Index>,
    indexes: Vec<prop::sample::Index>,
    list: Option<Vec<prop::sample::Index>>,
    present: Vec<prop::sample::Index>,
    parts: u8,
    switches: u8,
}

fn wishes() -> impl Strategy<Value = Wish> {
    let some = || proptest::collection::vec(any::<prop::sample::Index>(), 0..4);
    let list = proptest::collection::vec(any::<prop::sample::Index>(), 1..40);
    (
        some(),
        some(),
        proptest::option::weighted(0.3, list),
        some(),
        0..3u8,
        any::<u8>(),
    )
        .prop_map(|(tables, indexes, list, present, parts, switches)| Wish {
            tables,
            indexes,
            list,
            present,
            parts,
            switches,
        })
}

impl Wish {
    fn of(&self, entries: &mut [Entry]) -> Choices {
        let is_set = |bit: u8| self.switches & (1 << bit) != 0;
        if is_set(0) {
            load_via_root(entries);
        }
        let named = |kind: &str, wanted: &[prop::sample::Index]| -> Vec<String> {
            let all: Vec<&Entry> = entries.iter().filter(|e| e.kind == kind).collect();
            let wanted = wanted.iter().filter(|_| !all.is_empty());
            wanted
                .map(|at| all[at.index(all.len())].name.clone())
                .collect()
        };
        let keys = keys(entries);
        let listed = |list: &Vec<prop::sample::Index>| {
            let mut lines: Vec<&str> = Vec::new();
            for at in list {
                let key = keys[at.index(keys.len())].as_str();
                if !lines.contains(&key) {
                    lines.push(key);
                }
            }
            UseList::parse("list", &lines.join("\n")).unwrap()
        };
        Choices {
            filter: EntryFilter {
                tables: named("TABLE", &self.tables),
                indexes: named("INDEX", &self.indexes),
                use_list: self.list.as_ref().map(listed),
                needs: match is_set(1) {
                    true => Needs::PulledIn,
                    false => Needs::LeftOut,
                },
                ..EntryFilter::default()
            },
            parts: [Parts::All, Parts::Definitions, Parts::Rows][usize::from(self.parts)],
            clean: is_set(2),
            disable_triggers: is_set(3),
            sessions: 4,
            in_pieces: match is_set(5) {
                true => InPieces::All,
                false => InPieces::Nothing,
            },
            row_order: match is_set(4) {
                true => RowOrder::AsTheyCome,
                false => RowOrder::Free,
            },
            present: self
                .present
                .iter()
                .map(|at| EntryId::try_from(at.index(entries.len()) + 1).unwrap())
                .collect(),
            ..Choices::default()
        }
    }
}

proptest! {
    /// Whatever is selected: what it needs is restored as well, or named; with nothing excluded all
    /// of that is there; what only came along is not dropped.
    #[test]
    fn every_selection_has_what_it_needs_or_names_it(
        (entries, wish) in (archives(), wishes()),
    ) {
        let mut entries = entries;
        let choices = wish.of(&mut entries);
        let plan = build(&entries, |_| None, &choices).unwrap();
        let made: BTreeSet<EntryId> = restored(&plan).into_iter().collect();
        let needed: BTreeSet<EntryId> = plan.needed.iter().map(|it| it.entry).collect();
        let left: BTreeSet<EntryId> = plan.omitted.iter().map(|it| it.entry).collect();
        for entry in &entries {
            prop_assert!(made.contains(&entry.id) != left.contains(&entry.id));
            if !made.contains(&entry.id) {
                continue;
            }
            for &need in &entry.depends_on {
                let is_rows = select::is_rows(&entries[need as usize - 1]);
                prop_assert!(is_rows || made.contains(&need) || needed.contains(&need));
            }
        }
        let filter = &choices.filter;
        let by_name = !filter.tables.is_empty() || !filter.indexes.is_empty();
        if by_name && filter.needs == Needs::PulledIn && filter.use_list.is_none()
            && choices.parts == Parts::All
        {
            for needed in &plan.needed {
                let entry = &entries[needed.entry as usize - 1];
                prop_assert!(needed.found || select::is_tie(entry), "{}", needed.name);
            }
        }
        for pulled in &plan.pulled {
            prop_assert!(made.contains(&pulled.entry));
            prop_assert!(!plan.drops.contains(&pulled.entry));
            prop_assert!(!choices.present.contains(&pulled.entry));
        }
    }

    /// Whatever order workers finish in: every edge is respected, no two conflicting locks are
    /// held at once, and the walk ends with everything done.
    #[test]
    fn every_walk_respects_edges_and_locks(
        (entries, wish) in (archives(), wishes()),
        workers in 1..6usize,
        finishing in proptest::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let mut entries = entries;
        let choices = wish.of(&mut entries);
        let plan = build(&entries, |id| Some(u64::from(id) * 10), &choices).unwrap();
        let mut schedule = Schedule::new(&plan);
        let mut running: Vec<&Step> = Vec::new();
        let mut done = BTreeSet::new();
        let mut finishing = finishing.into_iter();
        while !schedule.is_done() {
            while running.len() < workers {
                let Some(step) = schedule.take(|_| true) else { break };
                for before in &step.depends_on {
                    let barrier = matches!(plan.steps[*before as usize].work, Work::Barrier(_));
                    prop_assert!(barrier || done.contains(before));
                }
                for other in &running {
                    for (a, b) in step.locks.iter().flat_map(|a| other.locks.iter().map(move |b| (a, b))) {
                        prop_assert!(a.on != b.on || !a.mode.conflicts(b.mode));
                    }
                }
                // What looks at rows starts when all that may end up there are loaded.
                if step.section == Section::PostData && step.pass == Pass::Main {
                    let looked_at: BTreeSet<EntryId> = step.locks.iter().map(|l| l.on).collect();
                    for (rows, _) in plan.steps_of(Work::Rows) {
                        let touches = rows.locks.iter().any(|lock| looked_at.contains(&lock.on));
                        prop_assert!(!touches || done.contains(&rows.id), "{}", step.name);
                    }
                }
                // A barrier that was passed really was complete.
                for before in step.depends_on.iter().map(|&id| &plan.steps[id as usize]) {
                    if let Work::Barrier(_) = before.work {
                        let complete = before.depends_on.iter().all(|id| {
                            let work = plan.steps[*id as usize].work;
                            done.contains(id) || matches!(work, Work::Barrier(_))
                        });
                        prop_assert!(complete);
                    }
                }
                running.push(step);
            }
            prop_assert!(!running.is_empty(), "stuck");
            // Nobody is left without work while there is some.
            for step in plan.steps.iter().filter(|_| running.len() < workers) {
                let is_over = done.contains(&step.id) || running.iter().any(|it| it.id == step.id);
                let waits = step.depends_on.iter().any(|&before| !schedule.is_finished(before));
                let is_barrier = matches!(step.work, Work::Barrier(_));
                let is_kept = || running.iter().flat_map(|it| &it.locks).any(|held| {
                    step.locks.iter().any(|l| l.on == held.on && l.mode.conflicts(held.mode))
                });
                prop_assert!(is_over || waits || is_barrier || is_kept(), "{}", step.name);
            }
            let at = finishing.next().map_or(0, |index| index.index(running.len()));
            let step = running.swap_remove(at);
            schedule.finish(step.id);
            done.insert(step.id);
        }
        let all = plan.steps.iter().filter(|s| !matches!(s.work, Work::Barrier(_))).count();
        prop_assert_eq!(done.len(), all);
        // Ids are a correct serial order.
        prop_assert!(plan.steps.iter().all(|s| s.depends_on.iter().all(|&before| before < s.id)));
    }
}
