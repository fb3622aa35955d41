//! Relations: what can be said of each before it is locked, and sizes, partitioning and views'
//! queries afterwards.

use super::acl;
use super::context::{Fields, Reader, options, vanished};
use super::selection::Selection;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Address, Class, Components, Header, Identity, Oid, Parent, Persistence, Relation, RelationKind,
    ReplicaIdentity, Sequence, SequenceOwner, View,
};
use crate::sql::ServerVersion;
use std::collections::{HashMap, HashSet};

/// Bytes of a page, for estimates.
const USUAL_BLOCK: u64 = 8192;

/// All relations outside temporary and TOAST schemas. Calls nothing that looks at a relation's
/// current definition, for nothing is locked yet. What initdb granted in `information_schema` it did
/// not record. What a relation starts from is of use only where something was changed.
const LIST: &str = "\
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
       c.relowner, c.reltype,
       CASE WHEN c.relacl IS NULL AND ip.initprivs IS NOT NULL THEN ad.acl ELSE c.relacl END::text[],
       CASE WHEN c.relacl IS NULL AND ip.initprivs IS NULL THEN '{}'
            ELSE COALESCE(ip.initprivs, ad.acl)::text[] END,
       COALESCE(ts.spcname::text, ''), am.amname::text, c.reloptions, tc.reloptions,
       otn.nspname::text, ot.typname::text,
       c.relreplident::text, c.relrowsecurity, c.relforcerowsecurity,
       c.relispopulated, c.relpages, rw.oid,
       fs.srvname::text, ft.ftoptions,
       pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
       s.seqcache, s.seqcycle,
       own.refobjid, own.refobjsubid, own.deptype::text, own.attidentity::text,
       rt.typarray
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT pg_catalog.acldefault(
       CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END, c.relowner)
       || CASE WHEN n.nspname = 'information_schema' AND c.relname !~ '^_' AND c.oid < 16384
          THEN ARRAY[pg_catalog.makeaclitem(0, c.relowner, 'SELECT', false)]
          ELSE '{}' END AS acl) ad
  LEFT JOIN pg_catalog.pg_init_privs ip
    ON ip.classoid = 1259 AND ip.objoid = c.oid AND ip.objsubid = 0
  LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace
  LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
  LEFT JOIN pg_catalog.pg_class tc
    ON tc.oid = c.reltoastrelid AND tc.relkind = 't' AND c.relkind <> 'p'
  LEFT JOIN pg_catalog.pg_type rt ON rt.oid = c.reltype AND c.relkind <> 'c'
  LEFT JOIN pg_catalog.pg_type ot ON ot.oid = c.reloftype
  LEFT JOIN pg_catalog.pg_namespace otn ON otn.oid = ot.typnamespace
  LEFT JOIN pg_catalog.pg_rewrite rw
    ON rw.ev_class = c.oid AND rw.rulename = '_RETURN' AND c.relkind IN ('v', 'm')
  LEFT JOIN pg_catalog.pg_foreign_table ft ON ft.ftrelid = c.oid
  LEFT JOIN pg_catalog.pg_foreign_server fs ON fs.oid = ft.ftserver
  LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
  LEFT JOIN LATERAL (
       SELECT d.refobjid, d.refobjsubid, d.deptype, oa.attidentity
         FROM pg_catalog.pg_depend d
         LEFT JOIN pg_catalog.pg_attribute oa
           ON oa.attrelid = CASE d.deptype WHEN 'i' THEN d.refobjid END
          AND oa.attnum = d.refobjsubid
        WHERE c.relkind = 'S' AND d.classid = 1259 AND d.objid = c.oid AND d.objsubid = 0
          AND d.refclassid = 1259 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
       -- By index, sequence by sequence: a join with all of pg_attribute costs more.
       OFFSET 0) own ON true
 WHERE c.relkind IN ('r', 'S', 'v', 'c', 'm', 'f', 'p')
   AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_(toast|temp_)'";

/// Parents of tables. Their order decides that of merged columns.
const PARENTS: &str = "\
SELECT i.inhrelid, i.inhparent, n.nspname::text, c.relname::text
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class c ON c.oid = i.inhparent
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f')
 ORDER BY i.inhrelid, i.inhseqno";

/// Tables that are hash partitioned by an enum. Its hash is that of the label's OID, which is
/// another one on another server.
const HASHED_BY_ENUM: &str = "\
SELECT p.partrelid
  FROM pg_catalog.pg_partitioned_table p
 WHERE (SELECT o.oid
          FROM pg_catalog.pg_opclass o
          JOIN pg_catalog.pg_namespace n ON n.oid = o.opcnamespace
          JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod
         WHERE o.opcname = 'enum_ops' AND n.nspname = 'pg_catalog' AND a.amname = 'hash')
       = ANY (p.partclass)";

/// What partitioning and CHECK counting need of tables, `$1` their OIDs.
fn tables(version: ServerVersion) -> String {
    let detach_pending = if version.at_least(14) {
        "CASE WHEN c.relispartition THEN
            EXISTS (SELECT FROM pg_catalog.pg_inherits i
                     WHERE i.inhrelid = c.oid AND i.inhdetachpending) ELSE false END"
    } else {
        "false"
    };
    format!(
        "\
SELECT c.oid, c.relispartition,
       CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END,
       CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
       {detach_pending}
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_class c ON c.oid = src.oid
 WHERE c.relispartition OR c.relkind = 'p'"
    )
}

/// Bytes of tables, `$1` their OIDs. Opens files: only for tables whose rows are wanted.
const SIZES: &str = "\
SELECT c.oid, COALESCE(pg_catalog.pg_relation_size(c.oid), 0),
       CASE WHEN c.reltoastrelid = 0 THEN 0
            ELSE COALESCE(pg_catalog.pg_relation_size(c.reltoastrelid), 0) END,
       pg_catalog.current_setting('block_size')::int8
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_class c ON c.oid = src.oid";

/// Queries of views and materialized views, `$1` their OIDs.
const VIEWS: &str = "\
SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid)
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_class c ON c.oid = src.oid";

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("relations", LIST.to_owned()),
        ("parents", PARENTS.to_owned()),
        ("hashed by enum", HASHED_BY_ENUM.to_owned()),
        ("partitioning", tables(version)),
        ("sizes", SIZES.to_owned()),
        ("views", VIEWS.to_owned()),
    ]
}

/// Every relation with what does not need a lock: `wanted` and `extension` are left empty, so are
/// columns and everything that the server would have to deparse.
///
/// # Errors
/// The server's; an owner that does not exist.
pub(crate) async fn list(reader: &Reader<'_>, selection: &Selection) -> Result<Vec<Relation>> {
    let mut relations = Vec::new();
    let take = |fields: &mut Fields<'_>| {
        relations.push(relation(reader, fields)?);
        Ok(())
    };
    reader.each("relations", LIST, &[], take).await?;
    // Sorted here: the server would write such long rows to disk for it.
    relations.sort_by_cached_key(|relation: &Relation| {
        let header = &relation.header;
        (header.schema.clone(), header.name.clone())
    });
    relations.shrink_to_fit();
    // A sequence has one owner; were there two, the left join would have said it twice.
    relations.dedup_by_key(|relation| relation.header.address);

    let index = by_oid(&relations);
    for row in reader.rows("inheritance", PARENTS, &[]).await? {
        let mut fields = Fields::of(&row);
        let child: Oid = fields.next()?;
        let oid = fields.next()?;
        let schema: String = fields.next()?;
        let name: String = fields.next()?;
        if let Some(&at) = index.get(&child) {
            relations[at].parents.push(Parent {
                oid,
                sql_name: reader
                    .quoting
                    .scope(|| crate::sql::qualified(&schema, &name)),
            });
        }
    }

    let mut unstable = HashSet::new();
    for row in reader
        .rows("partitioned tables", HASHED_BY_ENUM, &[])
        .await?
    {
        unstable.insert(Fields::of(&row).next::<Oid>()?);
    }
    let roots: Vec<_> = relations
        .iter()
        .map(|relation| {
            let (root, is_unstable) = root(&relations, &index, &unstable, relation)?;
            (is_unstable || selection.load_via_partition_root).then_some(root)
        })
        .collect();
    for (relation, root) in relations.iter_mut().zip(roots) {
        relation.load_via_root = root;
    }
    Ok(relations)
}

/// The topmost ancestor of a partition, and whether the rows of any table on the way up are spread
/// over partitions in a way that differs from server to server.
fn root(
    relations: &[Relation],
    index: &HashMap<Oid, usize>,
    unstable: &HashSet<Oid>,
    relation: &Relation,
) -> Option<(Oid, bool)> {
    let mut is_unstable = false;
    let mut at = relation;
    // Inheritance has no cycles; the bound is for a catalog that is damaged.
    for _ in 0..relations.len() {
        let Some(parent) = at
            .parents
            .first()
            .and_then(|parent| index.get(&parent.oid))
            .map(|&at| &relations[at])
            .filter(|parent| parent.kind == RelationKind::PartitionedTable)
        else {
            break;
        };
        is_unstable |= unstable.contains(&parent.header.address.oid);
        at = parent;
    }
    let root = at.header.address.oid;
    (root != relation.header.address.oid).then_some((root, is_unstable))
}

/// Positions by OID.
pub(crate) fn by_oid(relations: &[Relation]) -> HashMap<Oid, usize> {
    relations
        .iter()
        .enumerate()
        .map(|(at, relation)| (relation.header.address.oid, at))
        .collect()
}

/// Whether a relation must be held still while the dump runs: its definition, rows, policies or
/// statistics are wanted.
pub(crate) fn needs_lock(relation: &Relation) -> bool {
    let wanted = relation.header.wanted;
    [
        Components::DEFINITION,
        Components::DATA,
        Components::POLICY,
        Components::STATISTICS,
    ]
    .into_iter()
    .any(|component| wanted.has(component))
}

/// The relations that have to be known in detail: those that need a lock, and all their
/// ancestors, without which inherited columns cannot be judged.
pub(crate) fn interesting(relations: &[Relation]) -> HashSet<Oid> {
    let index = by_oid(relations);
    let mut found = HashSet::new();
    let mut todo: Vec<&Relation> = relations.iter().filter(|r| needs_lock(r)).collect();
    while let Some(relation) = todo.pop() {
        if found.insert(relation.header.address.oid) {
            let parents = relation.parents.iter().filter_map(|p| index.get(&p.oid));
            todo.extend(parents.map(|&at| &relations[at]));
        }
    }
    found
}

fn relation(reader: &Reader<'_>, fields: &mut Fields<'_>) -> Result<Relation> {
    let oid = fields.next()?;
    let schema = fields.next()?;
    let name = fields.next()?;
    let mut header = Header::new(Address::new(Class::Relation, oid), Some(schema), name);
    let sql_name = header.sql_name();
    let unknown = |what: &str, value: &str| {
        Error::new(
            Kind::Failed,
            format!("relation {sql_name}: {what} {value} is not known"),
        )
    };
    let kind = match fields.next::<&str>()? {
        "r" => RelationKind::Table,
        "p" => RelationKind::PartitionedTable,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "S" => RelationKind::Sequence,
        "f" => RelationKind::ForeignTable,
        "c" => RelationKind::Composite,
        other => return Err(unknown("kind", other)),
    };
    let persistence = match fields.next::<&str>()? {
        "p" => Persistence::Permanent,
        "u" => Persistence::Unlogged,
        other => return Err(unknown("persistence", other)),
    };
    header.owner = Some(reader.owner(fields.next()?, &format!("relation {sql_name}"))?);
    let rowtype = fields.next()?;
    header.acl = acl::parse(fields.next()?, fields.next()?)?;
    let has_storage = matches!(
        kind,
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView
    );
    let tablespace = Some(fields.next()?).filter(|_| has_storage);
    let access_method = fields.next::<Option<String>>()?.filter(|_| has_storage);
    let mut stored = options(fields.next()?);
    let toast = options(fields.next()?);
    let check_option = stored
        .iter()
        .position(|(name, _)| name == "check_option")
        .map(|at| stored.remove(at).1.to_uppercase());
    stored.extend(
        toast
            .into_iter()
            .map(|(name, value)| (format!("toast.{name}"), value)),
    );
    let type_schema: Option<String> = fields.next()?;
    let type_name: Option<String> = fields.next()?;
    let of_type = type_schema.zip(type_name).map(|(schema, name)| {
        reader
            .quoting
            .scope(|| crate::sql::qualified(&schema, &name))
    });
    let replica_identity = match fields.next::<&str>()? {
        // The catalog says so of every foreign table, and no statement can.
        "n" if kind == RelationKind::ForeignTable => ReplicaIdentity::Default,
        "n" => ReplicaIdentity::Nothing,
        "f" => ReplicaIdentity::Full,
        "i" => ReplicaIdentity::Index,
        _ => ReplicaIdentity::Default,
    };
    let row_security = fields.next()?;
    let force_row_security = fields.next()?;
    let populated = fields.next()?;
    let pages = u64::try_from(fields.next::<i32>()?).unwrap_or(0);
    let view = fields.next::<Option<Oid>>()?.map(|rule| View {
        query: String::new(),
        check_option,
        populated,
        rule,
    });
    // Of tables the file system is asked later. Others are not locked: asking could mean to wait.
    let bytes = match kind {
        RelationKind::MaterializedView => pages * USUAL_BLOCK,
        _ => 0,
    };
    let server: Option<String> = fields.next()?;
    let mut server_options = options(fields.next()?);
    server_options.sort();
    let sequence = match fields.next::<Option<String>>()? {
        None => None,
        Some(type_sql) => Some(sequence(fields, type_sql)?),
    };
    let rowtype_array = fields.last::<Option<Oid>>()?.unwrap_or(0);
    Ok(Relation {
        header,
        kind,
        persistence,
        rowtype,
        rowtype_array,
        tablespace,
        access_method,
        options: stored,
        of_type,
        parents: Vec::new(),
        partition_bound: None,
        partition_key: None,
        load_via_root: None,
        columns: Vec::new(),
        checks: Vec::new(),
        replica_identity,
        row_security,
        force_row_security,
        view,
        sequence,
        foreign: server.map(|server| (server, server_options)),
        pages,
        bytes,
        heap_bytes: 0,
        system_columns: Vec::new(),
        configuration_condition: None,
    })
}

fn sequence(fields: &mut Fields<'_>, type_sql: String) -> Result<Sequence> {
    let start = fields.next()?;
    let increment = fields.next()?;
    let minimum = fields.next()?;
    let maximum = fields.next()?;
    let cache = fields.next()?;
    let cycle = fields.next()?;
    let table: Option<Oid> = fields.next()?;
    let column: Option<i32> = fields.next()?;
    let internal = fields.next::<Option<&str>>()? == Some("i");
    let how: Option<&str> = fields.next()?;
    let identity = internal.then_some(if how == Some("d") {
        Identity::ByDefault
    } else {
        Identity::Always
    });
    let owner = table.zip(column).map(|(table, column)| SequenceOwner {
        table,
        column,
        identity,
    });
    Ok(Sequence {
        type_sql,
        start,
        increment,
        minimum,
        maximum,
        cache,
        cycle,
        value: None,
        owner,
    })
}

/// Partition keys and bounds of interesting tables; sizes of tables whose rows are wanted;
/// queries of views whose definition is wanted.
///
/// # Errors
/// The server's; a relation that was dropped since the snapshot.
pub(crate) async fn complete(
    reader: &Reader<'_>,
    relations: &mut [Relation],
    interesting: &HashSet<Oid>,
) -> Result<()> {
    let index = by_oid(relations);
    let oids = |wanted: &dyn Fn(&Relation) -> bool| -> Vec<Oid> {
        relations
            .iter()
            .filter(|relation| wanted(relation))
            .map(|relation| relation.header.address.oid)
            .collect()
    };
    let partitioned = oids(&|relation| {
        interesting.contains(&relation.header.address.oid)
            && (relation.kind == RelationKind::PartitionedTable || !relation.parents.is_empty())
    });
    let with_rows = oids(&|relation| {
        relation.kind == RelationKind::Table && relation.header.wanted.has(Components::DATA)
    });
    let views = oids(&|relation| {
        relation.view.is_some() && relation.header.wanted.has(Components::DEFINITION)
    });

    if !partitioned.is_empty() {
        let sql = tables(reader.version);
        for row in reader.rows("partitioning", &sql, &[&partitioned]).await? {
            let mut fields = Fields::of(&row);
            let Some(&at) = index.get(&fields.next()?) else {
                continue;
            };
            let relation = &mut relations[at];
            let name = || format!("table {}", relation.header.sql_name());
            let is_partition: bool = fields.next()?;
            let bound: Option<String> = fields.next()?;
            let key: Option<String> = fields.next()?;
            if is_partition && bound.is_none()
                || relation.kind == RelationKind::PartitionedTable && key.is_none()
            {
                return Err(vanished(&name()));
            }
            if fields.next()? {
                reader.observer.warning_with_hint(
                    format!(
                        "{} is being detached from its parent; it is dumped as an attached partition",
                        name()
                    ),
                    "finish it with ALTER TABLE … DETACH PARTITION … FINALIZE",
                );
            }
            relation.partition_bound = bound;
            relation.partition_key = key;
        }
    }
    if !with_rows.is_empty() {
        for row in reader.rows("table sizes", SIZES, &[&with_rows]).await? {
            let mut fields = Fields::of(&row);
            let Some(&at) = index.get(&fields.next()?) else {
                continue;
            };
            let relation = &mut relations[at];
            let heap = u64::try_from(fields.next::<i64>()?).unwrap_or(0);
            let toast = u64::try_from(fields.next::<i64>()?).unwrap_or(0);
            let block = u64::try_from(fields.next::<i64>()?).unwrap_or(0).max(1);
            relation.heap_bytes = heap;
            relation.bytes = heap + toast;
            relation.pages = heap / block;
        }
    }
    if !views.is_empty() {
        for row in reader.rows("views", VIEWS, &[&views]).await? {
            let mut fields = Fields::of(&row);
            let Some(&at) = index.get(&fields.next()?) else {
                continue;
            };
            let relation = &mut relations[at];
            let name = || format!("view {}", relation.header.sql_name());
            let query = fields.deparsed(name)?;
            let query = query.trim_end().trim_end_matches(';').to_owned();
            if query.is_empty() {
                return Err(vanished(&name()));
            }
            if let Some(view) = &mut relation.view {
                view.query = query;
            }
        }
    }
    Ok(())
}
