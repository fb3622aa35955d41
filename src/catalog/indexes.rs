//! Indexes, and the constraints that stand on them.
//!
//! Most indexes are plain: columns, each as its type has it. What the server would say of such a
//! one follows from the catalogs, and saying it costs the server more than all the rest of the reading.
//! So it is asked only about the others.

use super::context::{Fields, Reader, options, vanished};
use super::parts;
use super::relations::by_oid;
use crate::error::{Error, Kind, Result};
use crate::model::{
    Class, Column, Header, Index, IndexConstraint, IndexConstraintKind, Oid, Relation, RelationKind,
};
use crate::sql::{ServerVersion, ident, literal};
use std::collections::HashMap;
use std::fmt::Write as _;

/// Indexes of the relations `$1`. Ones that are not ready or not valid are listed without being
/// deparsed; on a partitioned table an index is not valid until every partition has its own. The
/// index of a constraint is made by the constraint: its own definition is never asked for. What may
/// be plain comes with its columns, operator classes and collations, and without a definition.
fn indexes(version: ServerVersion) -> String {
    let nulls_not_distinct = if version.at_least(15) {
        "i.indnullsnotdistinct"
    } else {
        "false"
    };
    let period = if version.at_least(18) {
        "co.conperiod"
    } else {
        "false"
    };
    format!(
        "\
SELECT i.indrelid, i.indexrelid, ic.relname::text,
       i.indisready AND (i.indisvalid OR ic.relkind = 'I') AS usable,
       CASE WHEN co.oid IS NULL AND NOT p.plain AND i.indisready
                 AND (i.indisvalid OR ic.relkind = 'I')
            THEN pg_catalog.pg_get_indexdef(i.indexrelid) END,
       CASE WHEN p.plain THEN i.indkey::int2[] END,
       CASE WHEN p.plain AND co.oid IS NULL THEN i.indclass::oid[] END,
       CASE WHEN p.plain AND co.oid IS NULL THEN i.indcollation::oid[] END,
       ic.relam,
       COALESCE(ts.spcname::text, ''), inh.inhparent, ic.relkind = 'I',
       i.indisunique, i.indisclustered, i.indisreplident,
       CASE WHEN i.indexprs IS NOT NULL THEN
           ARRAY(SELECT x FROM pg_catalog.pg_attribute a,
                        LATERAL (VALUES (a.attnum::int4, 1), (a.attstattarget::int4, 2)) v(x, k)
                  WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0
                  ORDER BY a.attnum, v.k) END,
       co.oid, co.conname::text, co.contype::text,
       CASE WHEN NOT p.plain THEN pg_catalog.pg_get_constraintdef(co.oid) END,
       co.condeferrable, co.condeferred, co.conparentid <> 0, cd.description, ic.reloptions
  FROM pg_catalog.unnest($1::oid[]) AS src(oid)
  JOIN pg_catalog.pg_index i ON i.indrelid = src.oid
  JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
  LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = ic.reltablespace
  LEFT JOIN pg_catalog.pg_inherits inh ON inh.inhrelid = i.indexrelid
  LEFT JOIN pg_catalog.pg_constraint co
    ON co.conindid = i.indexrelid AND co.conrelid = i.indrelid AND co.contype IN ('p', 'u', 'x')
  LEFT JOIN pg_catalog.pg_description cd
    ON cd.classoid = 2606 AND cd.objoid = co.oid AND cd.objsubid = 0
 CROSS JOIN LATERAL (SELECT i.indnatts = i.indnkeyatts AND NOT {nulls_not_distinct}
       AND i.indexprs IS NULL
       AND CASE WHEN co.oid IS NOT NULL THEN co.contype IN ('p', 'u') AND NOT {period}
           ELSE i.indpred IS NULL AND ic.relkind = 'i' AND ic.reloptions IS NULL
                AND 0 = ALL (i.indoption::int2[])
                -- Parameters of operator classes.
                AND i.indexrelid NOT IN (SELECT o.attrelid FROM pg_catalog.pg_attribute o
                                          WHERE o.attoptions IS NOT NULL) END AS plain
        -- Looked at once, not wherever it is named above.
        OFFSET 0) p
 ORDER BY i.indrelid, ic.relname"
    )
}

/// Access methods.
const METHODS: &str = "SELECT oid, amname::text FROM pg_catalog.pg_am";

/// Operator classes that an index need not name: what types have by default, with the type's
/// collation. What was made the default of a domain is not: columns of a domain have the class of its
/// base type.
const DEFAULT_CLASSES: &str = "\
SELECT o.oid, o.opcintype, t.typcollation
  FROM pg_catalog.pg_opclass o
  JOIN pg_catalog.pg_type t ON t.oid = o.opcintype
 WHERE o.opcdefault AND t.typtype <> 'd'";

/// Definitions of the indexes `$1`.
const DEFINITIONS: &str = "\
SELECT src.oid, pg_catalog.pg_get_indexdef(src.oid) FROM pg_catalog.unnest($1::oid[]) AS src(oid)";

/// The queries of this file, by name.
pub(crate) fn queries(version: ServerVersion) -> Vec<(&'static str, String)> {
    vec![
        ("indexes", indexes(version)),
        ("index methods", METHODS.to_owned()),
        ("default operator classes", DEFAULT_CLASSES.to_owned()),
        ("index definitions", DEFINITIONS.to_owned()),
    ]
}

/// What plain indexes are put into words with.
pub(crate) struct Words {
    /// Each by itself: what has been put into words is gone before the rest is.
    #[expect(clippy::vec_box, reason = "a list gives its room back as a whole")]
    found: Vec<Box<Found>>,
    methods: HashMap<Oid, String>,
    /// Type and collation by operator class.
    classes: HashMap<Oid, (Oid, Oid)>,
}

/// An index as the catalogs have it.
struct Found {
    table: Oid,
    oid: Oid,
    name: String,
    usable: bool,
    deparsed: Option<String>,
    numbers: Option<Vec<i16>>,
    classes: Option<Vec<Oid>>,
    collations: Option<Vec<Oid>>,
    method: Oid,
    tablespace: String,
    parent: Option<Oid>,
    partitioned: bool,
    unique: bool,
    clustered: bool,
    replica_identity: bool,
    statistics: Vec<(i32, i32)>,
    constraint: Option<FoundConstraint>,
}

/// The constraint on an index as the catalogs have it.
struct FoundConstraint {
    oid: Oid,
    name: String,
    kind: String,
    deparsed: Option<String>,
    deferrable: bool,
    deferred: bool,
    inherited: bool,
    comment: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Found {
    fn read(fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            table: fields.next()?,
            oid: fields.next()?,
            name: fields.next()?,
            usable: fields.next()?,
            deparsed: fields.next()?,
            numbers: fields.next()?,
            classes: fields.next()?,
            collations: fields.next()?,
            method: fields.next()?,
            tablespace: fields.next()?,
            parent: fields.next()?,
            partitioned: fields.next()?,
            unique: fields.next()?,
            clustered: fields.next()?,
            replica_identity: fields.next()?,
            statistics: fields
                .next::<Option<Vec<i32>>>()?
                .unwrap_or_default()
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .collect(),
            constraint: match fields.next::<Option<Oid>>()? {
                None => None,
                Some(oid) => Some(FoundConstraint::read(oid, fields)?),
            },
        })
    }
}

impl FoundConstraint {
    fn read(oid: Oid, fields: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            oid,
            name: fields.next()?,
            kind: fields.next()?,
            deparsed: fields.next()?,
            deferrable: fields.next()?,
            deferred: fields.next()?,
            inherited: fields.next()?,
            comment: fields.next()?,
            parameters: options(fields.next()?),
        })
    }
}

impl Words {
    /// The columns of a plain index, if the server would name nothing but them: each has its own
    /// type's operator class and collation. Domains and types that only share another's class are
    /// left to the server, which looks for the class in ways of its own.
    fn columns<'a>(
        &self,
        table: &'a Relation,
        numbers: &[i16],
        classes: &[Oid],
        collations: &[Oid],
    ) -> Option<Vec<&'a str>> {
        let columns = columns(table, numbers)?;
        let usual = columns.iter().enumerate().all(|(at, column)| {
            let class = classes.get(at).and_then(|class| self.classes.get(class));
            class.is_some_and(|(of_type, collation)| {
                *of_type == column.type_oid
                    && column.settings().collation.is_none()
                    && collations.get(at) == Some(collation)
            })
        });
        usual.then(|| columns.iter().map(|column| column.name.as_str()).collect())
    }
}

/// The columns of a table with these numbers; none if one is not known.
pub(super) fn columns<'a>(table: &'a Relation, numbers: &[i16]) -> Option<Vec<&'a Column>> {
    let find = |&number: &i16| {
        let number = i32::from(number);
        let at = table.columns.binary_search_by_key(&number, |c| c.number);
        at.ok().map(|at| &table.columns[at])
    };
    numbers.iter().map(find).collect()
}

/// `a, b`
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(ident).collect();
    names.join(", ")
}

/// Tables and materialized views whose definition is wanted: those that have indexes.
pub(crate) fn tables(relations: &[Relation]) -> Vec<Oid> {
    parts::defined(relations, |kind| {
        matches!(
            kind,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView
        )
    })
}

/// What the server says of the indexes of [`tables`].
///
/// # Errors
/// The server's.
pub(crate) async fn rows(reader: &Reader<'_>, tables: &[Oid]) -> Result<Words> {
    let mut words = Words {
        found: Vec::new(),
        methods: HashMap::new(),
        classes: HashMap::new(),
    };
    if tables.is_empty() {
        return Ok(words);
    }
    for row in reader.rows("index methods", METHODS, &[]).await? {
        words.methods.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let classes = reader
        .rows("default operator classes", DEFAULT_CLASSES, &[])
        .await?;
    for row in classes {
        let of_type = (row.try_get(1)?, row.try_get(2)?);
        words.classes.insert(row.try_get(0)?, of_type);
    }
    let sql = indexes(reader.version);
    let found = &mut words.found;
    let take = |fields: &mut Fields<'_>| {
        found.push(Box::new(Found::read(fields)?));
        Ok(())
    };
    reader.each("indexes", &sql, &[&tables], take).await?;
    Ok(words)
}

/// The indexes that these rows tell of.
///
/// # Errors
/// An index that was dropped since the snapshot; the server's.
pub(crate) async fn read(
    reader: &Reader<'_>,
    mut words: Words,
    relations: &[Relation],
) -> Result<Vec<Index>> {
    let found = std::mem::take(&mut words.found);
    let mut indexes = Vec::with_capacity(found.len());
    // Places in `indexes` of those about which the server has to be asked.
    let mut unsaid: HashMap<Oid, usize> = HashMap::new();
    let index = by_oid(relations);
    for found in found {
        let Some(&at) = index.get(&found.table) else {
            continue;
        };
        let table = &relations[at];
        let oid = found.oid;
        let header = parts::header(table, Class::Relation, oid, found.name);
        if !found.usable {
            reader.observer.warning_with_hint(
                format!(
                    "index {} of {} is invalid and is left out",
                    header.sql_name(),
                    table.header.sql_name()
                ),
                "it is what a failed CREATE INDEX CONCURRENTLY leaves: REINDEX or drop it",
            );
            continue;
        }
        let numbers = found.numbers;
        let unique = found.unique;
        let columns = numbers
            .as_deref()
            .and_then(|numbers| columns(table, numbers))
            .map(|columns| columns.iter().map(|column| column.name.as_str()).collect());
        let constraint = found
            .constraint
            .map(|found| constraint(reader, found, &header, columns))
            .transpose()?;
        let plain = || {
            let (numbers, classes) = (numbers.as_deref()?, found.classes.as_deref()?);
            let method = words.methods.get(&found.method)?;
            let collations = found.collations.as_deref()?;
            let columns = words.columns(table, numbers, classes, collations)?;
            Some(reader.quoting.scope(|| {
                format!(
                    "CREATE {}INDEX {} ON {} USING {} ({})",
                    if unique { "UNIQUE " } else { "" },
                    ident(&header.name),
                    table.header.sql_name(),
                    ident(method),
                    list(columns),
                )
            }))
        };
        let definition = match (&constraint, found.deparsed) {
            (Some(_), _) => String::new(),
            (None, Some(definition)) => definition,
            (None, None) => plain().unwrap_or_else(|| {
                unsaid.insert(oid, indexes.len());
                String::new()
            }),
        };
        indexes.push(Index {
            header,
            table: table.header.address.oid,
            definition,
            tablespace: Some(found.tablespace),
            parent: found.parent,
            partitioned: found.partitioned,
            unique,
            clustered: found.clustered,
            replica_identity: found.replica_identity,
            statistics: found.statistics,
            constraint,
            table_bytes: table.bytes,
        });
    }
    if !unsaid.is_empty() {
        let oids: Vec<Oid> = unsaid.keys().copied().collect();
        for row in reader.rows("indexes", DEFINITIONS, &[&oids]).await? {
            if let Some(at) = unsaid.remove(&row.try_get(0)?) {
                let index = &mut indexes[at];
                let name = || format!("index {}", index.header.sql_name());
                let definition: Option<String> = row.try_get(1)?;
                index.definition = definition.ok_or_else(|| vanished(&name()))?;
            }
        }
    }
    Ok(indexes)
}

/// The constraint on an index; `columns` are those of one that the server need not be asked about.
fn constraint(
    reader: &Reader<'_>,
    found: FoundConstraint,
    index: &Header,
    columns: Option<Vec<&str>>,
) -> Result<IndexConstraint> {
    let kind = match found.kind.as_str() {
        "p" => IndexConstraintKind::PrimaryKey,
        "u" => IndexConstraintKind::Unique,
        "x" => IndexConstraintKind::Exclusion,
        other => {
            let what = format!(
                "index {}: constraint of kind {other} is not known",
                index.sql_name()
            );
            return Err(Error::new(Kind::Failed, what));
        }
    };
    let tail = deferral(found.deferrable, found.deferred);
    let plain = columns.map(|columns| {
        let word = match kind {
            IndexConstraintKind::PrimaryKey => "PRIMARY KEY",
            _ => "UNIQUE",
        };
        let columns = reader.quoting.scope(|| list(columns));
        format!("{word} ({columns}){tail}")
    });
    let mut definition = found
        .deparsed
        .or(plain)
        .ok_or_else(|| vanished(&format!("the constraint of index {}", index.sql_name())))?;
    let parameters = found.parameters;
    // The server writes storage parameters into an EXCLUDE, and into nothing else.
    if kind != IndexConstraintKind::Exclusion && !parameters.is_empty() {
        definition = with_parameters(&definition, &parameters, tail).ok_or_else(|| {
            let what = format!(
                "index {}: its constraint does not read as expected",
                index.sql_name()
            );
            Error::new(Kind::Failed, what)
        })?;
    }
    Ok(IndexConstraint {
        oid: found.oid,
        name: found.name,
        kind,
        definition,
        comment: found.comment,
        inherited: found.inherited,
    })
}

/// How a constraint's definition ends.
pub(super) fn deferral(deferrable: bool, deferred: bool) -> &'static str {
    match (deferrable, deferred) {
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        (false, _) => "",
    }
}

/// Puts `WITH (…)` where the grammar wants it: after the columns, before the deferrability. None
/// if the definition does not end as its flags say.
fn with_parameters(
    definition: &str,
    parameters: &[(String, String)],
    tail: &str,
) -> Option<String> {
    let mut text = definition.strip_suffix(tail)?.to_owned();
    text.push_str(" WITH (");
    for (at, (name, value)) in parameters.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(text, "{comma}{}={}", ident(name), literal(value)).ok()?;
    }
    text.push(')');
    text.push_str(tail);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_before_deferrability() {
        let parameters = [("fillfactor".to_owned(), "70".to_owned())];
        let with = |definition, deferrable, deferred| {
            with_parameters(definition, &parameters, deferral(deferrable, deferred))
        };
        assert_eq!(
            with("PRIMARY KEY (a)", false, false).as_deref(),
            Some("PRIMARY KEY (a) WITH (fillfactor='70')")
        );
        assert_eq!(
            with(
                "UNIQUE (a) INCLUDE (b) DEFERRABLE INITIALLY DEFERRED",
                true,
                true
            )
            .as_deref(),
            Some("UNIQUE (a) INCLUDE (b) WITH (fillfactor='70') DEFERRABLE INITIALLY DEFERRED")
        );
        assert_eq!(with("UNIQUE (a)", true, false), None);
    }
}
